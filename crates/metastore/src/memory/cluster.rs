//! The cluster's id in memory: whatever the maker of the database said.

use async_trait::async_trait;
use types::ClusterId;

use super::Connection;
use crate::{Cluster, MetastoreError};

#[async_trait]
impl Cluster for Connection {
    async fn cluster_id(&self) -> Result<ClusterId, MetastoreError> {
        self.call("cluster_id", |_, _| self.database.cluster).await
    }
}
