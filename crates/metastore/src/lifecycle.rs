//! Start and end of a metastore.

use async_trait::async_trait;

use crate::MetastoreError;

/// The connections as a whole.
#[async_trait]
pub trait Lifecycle {
    /// Whether the metastore answers; for the start, and fails soon, saying why.
    async fn ping(&self) -> Result<(), MetastoreError>;

    /// Sees to it that new connections can sign in for the next minutes; does nothing where a password is used. To be called before the
    /// first statement and, by a process that lives on, every minute.
    async fn renew_login(&self) -> Result<(), MetastoreError>;

    /// Waits for statements under way, then closes all connections.
    async fn close(&self);
}
