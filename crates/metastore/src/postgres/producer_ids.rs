//! Producer ids in Postgres.

use async_trait::async_trait;
use types::ProducerId;

use super::Postgres;
use crate::{MetastoreError, ProducerIds};

#[async_trait]
impl ProducerIds for Postgres {
    async fn allocate_producer_id(&self) -> Result<ProducerId, MetastoreError> {
        let id: i64 = sqlx::query_scalar("INSERT INTO producer_ids DEFAULT VALUES RETURNING producer_id")
            .fetch_one(&self.pool)
            .await?;
        Ok(ProducerId(id))
    }
}
