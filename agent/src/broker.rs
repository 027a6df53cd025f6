//! What every request handler may use.

use std::sync::Arc;

use metastore::Metastore;
use types::Clock;

/// The read-mostly parts of a running agent, shared by all connections.
#[derive(Debug)]
pub struct Broker {
    /// Postgres.
    pub metastore: Metastore,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
