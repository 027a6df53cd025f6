//! Orphans: slots past the end of their stream, nobody's, recorded once and deleted after a grace period.

use async_trait::async_trait;
use types::{Slot, SlotSeq, StreamId};

use crate::MetastoreError;

/// A stream that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedStream {
    /// The stream.
    pub stream: StreamId,
    /// The slot of its tombstone.
    pub end_seq: SlotSeq,
}

/// What is waiting, for whoever watches over the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Slots that wait for one before them.
    pub pending_slots: u64,
    /// How long the oldest of them has been waiting, in ms; 0 where there is none.
    pub oldest_pending_ms: u64,
    /// Orphans recorded and not deleted yet.
    pub orphans: u64,
    /// Records that the group that is furthest behind has not committed yet, over all of its partitions.
    pub lag_max: u64,
    /// The same of all groups together.
    pub lag_sum: u64,
}

/// The table of orphans, and the search for those that no event told of.
#[async_trait]
pub trait Orphans {
    /// Records those of `slots` that lie past their stream's end. How many of them are new.
    async fn record_orphans(&self, slots: &[Slot]) -> Result<u64, MetastoreError>;

    /// Makes orphans of pending slots that lie past their stream's end. How many of them are new. Work is proportional
    /// to what is pending.
    async fn orphan_pending(&self) -> Result<u64, MetastoreError>;

    /// Orphans that were found at least `grace_ms` ago, the oldest first, at most `slots_max`.
    async fn old_orphans(&self, grace_ms: i64, slots_max: i64) -> Result<Vec<Slot>, MetastoreError>;

    /// Forgets orphans whose objects are dealt with.
    async fn forget_orphans(&self, slots: &[Slot]) -> Result<(), MetastoreError>;

    /// Streams that ended at least `grace_ms` ago and have not been searched, at most `streams_max`. Work is
    /// proportional to how many there are.
    async fn unsearched_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<EndedStream>, MetastoreError>;

    /// Notes that `stream` has been searched for orphans.
    async fn note_searched(&self, stream: StreamId) -> Result<(), MetastoreError>;

    /// What is waiting. Work is proportional to what is pending and to the offsets that groups have committed.
    async fn backlog(&self) -> Result<Backlog, MetastoreError>;
}
