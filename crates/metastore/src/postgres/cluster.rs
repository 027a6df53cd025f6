//! The cluster's id in Postgres, drawn by the first migration.

use async_trait::async_trait;
use types::ClusterId;
use uuid::Uuid;

use super::Postgres;
use crate::{Cluster, MetastoreError};

#[async_trait]
impl Cluster for Postgres {
    async fn cluster_id(&self) -> Result<ClusterId, MetastoreError> {
        let id: Uuid = sqlx::query_scalar("SELECT cluster_id FROM cluster")
            .fetch_one(&self.pool)
            .await?;
        Ok(ClusterId(id))
    }
}
