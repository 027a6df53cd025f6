//! The cluster's one id.

use async_trait::async_trait;
use types::ClusterId;

use crate::MetastoreError;

/// The table of the one cluster.
#[async_trait]
pub trait Cluster {
    /// The id of this cluster; the same for as long as the metastore lives.
    async fn cluster_id(&self) -> Result<ClusterId, MetastoreError>;
}
