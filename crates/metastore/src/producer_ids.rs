//! Ids of idempotent producers. An id is handed out once and keeps the time it was: the commit judges by it whether a
//! partition without state for the id may still be waiting for the producer's first batch.

use types::ProducerId;

use crate::{Metastore, MetastoreError};

impl Metastore {
    /// A producer id nobody has had before.
    pub async fn allocate_producer_id(&self) -> Result<ProducerId, MetastoreError> {
        let id: i64 = sqlx::query_scalar("INSERT INTO producer_ids DEFAULT VALUES RETURNING producer_id")
            .fetch_one(&self.pool)
            .await?;
        Ok(ProducerId(id))
    }
}
