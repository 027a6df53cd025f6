//! Ids of idempotent producers. An id is handed out once and keeps the time it was: the commit judges by it whether a
//! partition without state for the id may still be waiting for the producer's first batch.

use async_trait::async_trait;
use types::ProducerId;

use crate::MetastoreError;

/// The table of producer ids.
#[async_trait]
pub trait ProducerIds {
    /// A producer id nobody has had before.
    async fn allocate_producer_id(&self) -> Result<ProducerId, MetastoreError>;
}
