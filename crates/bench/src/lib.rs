//! A load generator for any Kafka broker, on librdkafka: throughput, latency percentiles, and what a GiB costs in processor time,
//! S3 requests and Postgres transactions.
//!
//! Loads (`load`) do; what is told of them (`latency`, `probe`, `report`) is computed from plain values. `suite` runs a standard
//! set against a dev-stack, `cost` says what a load costs on AWS.

pub mod config;
pub mod cost;
pub mod latency;
pub mod load;
pub mod payload;
pub mod probe;
pub mod report;
pub mod schedule;
pub mod suite;
pub mod units;
