//! The HTTP contract between agents and the cache sidecar, and its client. `docs/cache-api.md` describes it.

mod breaker;
mod client;
pub mod contract;
mod error;

pub use client::{CacheClient, CachedRange, ReadHints, ServedRange};
pub use error::CacheError;
