//! What can come between a process and its metastore.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::MetastoreError;

/// Asked before and after every call. `call` is the name of the trait's method, such as `"commit_transaction"`.
///
/// Delays are the implementor's to take (await whatever sleeps in its kind of time). An error should be
/// [`MetastoreError::Unavailable`]: that is what an outage, a lost connection or a lock timeout looks like to callers.
#[async_trait]
pub trait Weather: Debug + Send + Sync + 'static {
    /// Awaited before the call does anything; an error fails it, and nothing has happened.
    async fn before(&self, call: &'static str) -> Result<(), MetastoreError>;

    /// Awaited when the call has done its work; an error loses the answer, and yet it has happened.
    async fn after(&self, call: &'static str) -> Result<(), MetastoreError>;

    /// Whether a hint that was just sent does not reach this process's listener. Asked once per listener and hint.
    fn loses_hint(&self) -> bool {
        false
    }
}

/// Nothing comes between.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm;

#[async_trait]
impl Weather for Calm {
    async fn before(&self, _call: &'static str) -> Result<(), MetastoreError> {
        Ok(())
    }

    async fn after(&self, _call: &'static str) -> Result<(), MetastoreError> {
        Ok(())
    }
}
