//! The yaks agent: a stateless Kafka broker that keeps its data in S3 and its offsets in Postgres.

pub mod answer;
pub mod backlog;
pub mod broker;
pub mod client;
pub mod cluster;
pub mod config;
pub mod configs;
pub mod connection;
pub mod dispatch;
pub mod error;
pub mod fetch;
pub mod fetch_answer;
pub mod frame;
pub mod group;
pub mod handlers;
pub mod hints;
pub mod incoming;
pub mod leader_epoch;
pub mod listeners;
pub mod metrics;
pub mod process;
pub mod produce;
pub mod run;
pub mod server;
pub mod task_metadata;
pub mod wire_shape;
