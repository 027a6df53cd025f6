//! The handle that everybody holds, and what stands behind it.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use crate::postgres::Postgres;
use crate::{
    Audits, Cluster, Commits, ConsumerGroups, GroupOffsets, Hints, Leases, Lifecycle, LogIndex, Orphans, Partitions,
    PostgresConfig, ProducerIds, ProducerStates, Schema, Streams, Sweeps, Topics,
};

/// All tables of one metastore: one trait per table, each beside its types. Calls of several traits see each other's
/// work, as statements on one database do.
pub trait Backend:
    Audits
    + Cluster
    + Commits
    + ConsumerGroups
    + GroupOffsets
    + Hints
    + Leases
    + Lifecycle
    + LogIndex
    + Orphans
    + Partitions
    + ProducerIds
    + ProducerStates
    + Schema
    + Streams
    + Sweeps
    + Topics
    + Debug
    + Send
    + Sync
    + 'static
{
}

impl<T> Backend for T where
    T: Audits
        + Cluster
        + Commits
        + ConsumerGroups
        + GroupOffsets
        + Hints
        + Leases
        + Lifecycle
        + LogIndex
        + Orphans
        + Partitions
        + ProducerIds
        + ProducerStates
        + Schema
        + Streams
        + Sweeps
        + Topics
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// A handle on a metastore; cheap to clone. Its methods are those of the tables' traits.
#[derive(Clone, Debug)]
pub struct Metastore(Arc<dyn Backend>);

impl Metastore {
    /// A handle on Postgres, which connects when first used.
    pub fn new(config: &PostgresConfig) -> Self {
        Self::over(Postgres::new(config))
    }

    /// A handle on any other backend.
    pub fn over(backend: impl Backend) -> Self {
        Self(Arc::new(backend))
    }
}

impl Deref for Metastore {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}
