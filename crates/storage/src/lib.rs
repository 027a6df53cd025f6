//! The S3 client of yaks behind one small trait.

mod client;
mod config;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod directory;
mod error;
pub mod failing;
mod memory;
mod metrics;
mod s3;
mod sdk_error;
mod store;

pub use client::{S3Timeouts, http_client as aws_http_client};
pub use config::{S3Config, S3ConfigError, Secret};
pub use error::{StorageError, StorageErrorKind};
pub use memory::MemoryStore;
pub use metrics::METRICS;
pub use s3::S3Store;
pub use store::{GetRange, Got, ListedObject, ObjectStore, PutOutcome};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn the_store_in_memory_keeps_the_contract() {
        contract::run(Arc::new(MemoryStore::new()), "contract/").await;
    }
}
