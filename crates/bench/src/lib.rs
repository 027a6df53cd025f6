//! A load generator for any Kafka broker, on librdkafka: throughput, latency percentiles, and what a GiB costs in processor time,
//! S3 requests and Postgres transactions.
//!
//! Loads (`load`) do; what is told of them (`latency`, `probe`, `report`) is computed from plain values. Three parts of yaks are
//! measured by themselves: `commits`, `planning`, and the `function`. `suite` runs a standard set of both kinds, the loads against a
//! dev-stack; `cost` says what a load costs on AWS.

pub mod commits;
pub mod config;
pub mod cost;
mod database;
pub mod function;
pub mod latency;
pub mod load;
pub mod payload;
pub mod planning;
pub mod probe;
pub mod report;
pub mod schedule;
pub mod suite;
pub mod units;
