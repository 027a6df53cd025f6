//! Bringing the schema up to date, and refusing to work on one that this build does not know.

use async_trait::async_trait;

use crate::MetastoreError;

/// The schema as a whole.
#[async_trait]
pub trait Schema {
    /// Applies the migrations that are missing.
    async fn migrate(&self) -> Result<(), MetastoreError>;

    /// Whether the database has exactly the migrations of this build; the error says what to do.
    async fn check_schema(&self) -> Result<(), MetastoreError>;
}
