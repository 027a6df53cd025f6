//! Start and end of a metastore.

use async_trait::async_trait;

use crate::MetastoreError;

/// The connections as a whole.
#[async_trait]
pub trait Lifecycle {
    /// Whether the metastore answers; for the start, and fails soon, saying why.
    async fn ping(&self) -> Result<(), MetastoreError>;

    /// Waits for statements under way, then closes all connections.
    async fn close(&self);
}
