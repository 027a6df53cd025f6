//! End to end: librdkafka and the oracle against the real programs, started as `make up` starts them.

#![expect(clippy::unwrap_used, reason = "a test fails where its setting up does")]

mod admin;
mod audit;
mod bench;
mod commit_path;
mod consumer_groups;
mod costs;
mod dashboard;
mod events;
mod group_storm;
mod groups;
mod kafka;
mod kills;
mod listeners;
mod many_topics;
mod members;
mod metrics;
mod outages;
mod protocol;
mod proxy;
mod running;
mod sound;
mod stops;
mod tail;
mod traces;
mod zones;
