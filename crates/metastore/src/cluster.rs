//! The cluster's one id, drawn by the first migration.

use types::ClusterId;
use uuid::Uuid;

use crate::{Metastore, MetastoreError};

impl Metastore {
    /// The id of this cluster; the same for as long as the database lives.
    pub async fn cluster_id(&self) -> Result<ClusterId, MetastoreError> {
        let id: Uuid = sqlx::query_scalar("SELECT cluster_id FROM cluster")
            .fetch_one(&self.pool)
            .await?;
        Ok(ClusterId(id))
    }
}
