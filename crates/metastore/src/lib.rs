//! Postgres: one module per table, and the commit that gives every batch its offset.

mod config;
mod error;
mod pool;

pub use config::{PostgresConfig, SslMode};
pub use error::MetastoreError;
pub use pool::Metastore;
