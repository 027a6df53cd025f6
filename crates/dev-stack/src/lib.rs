//! The whole system on one machine, without Docker: what `make up` runs, and what end-to-end tests start in-process.
//!
//! One supervising process plays AWS (`s3`, `events`, `lambda`, `sweep`) and starts a private Postgres and the real
//! binaries: agents, their sidecars, the function. Nothing is restarted silently: a part that ends by itself ends
//! the run, with the end of its log. Nothing outlives it either, see `private_postgres::leash`.
//!
//! Tests use `Stack` with `StackConfig::for_tests`: free ports, a data directory of their own, and faults at run time.

mod assemble;
pub mod cli;
pub mod config;
pub mod console;
mod data_dir;
mod dev_api;
mod environment;
pub mod events;
mod fleet;
mod health;
pub mod lambda;
pub mod outside;
pub mod part;
mod parts;
mod ports;
pub mod running;
pub mod s3;
pub mod stack;
mod sweep;

pub use config::{AgentPorts, OutsideAws, StackConfig};
pub use parts::Switch;
pub use stack::{Death, Stack};
