//! Hints that something was committed. A hint may be lost at any time; whoever waits also polls slowly.

use async_trait::async_trait;

use crate::{Metastore, MetastoreError};

/// Sending hints, and hearing them.
#[async_trait]
pub trait Hints {
    /// Tells every listener that something was committed; at most 7999 bytes (Postgres's limit).
    async fn notify_commit(&self, payload: &str) -> Result<(), MetastoreError>;

    /// A listener, which hears what is sent once it has been asked for the first time.
    fn hint_source(&self) -> Box<dyn HintSource>;
}

/// Where a listener's hints come from.
#[async_trait]
pub trait HintSource: std::fmt::Debug + Send {
    /// The next hint. While the metastore is away it waits until it is back; what was sent meanwhile is lost. Safe to
    /// cancel.
    async fn recv(&mut self) -> String;
}

/// A listener for hints.
#[derive(Debug)]
pub struct CommitHints(Box<dyn HintSource>);

impl CommitHints {
    /// A listener that connects when it is first asked.
    pub fn listen(metastore: &Metastore) -> Self {
        Self(metastore.hint_source())
    }

    /// The next hint. While the metastore is away it waits until it is back; what was sent meanwhile is lost. Safe to
    /// cancel.
    pub async fn recv(&mut self) -> String {
        self.0.recv().await
    }
}
