//! Streams: one row per incarnation of an agent, which gates its slots.

use ::commit::BatchOutcome;
use async_trait::async_trait;
use types::{NodeId, Slot, SlotSeq, StreamId};

use crate::MetastoreError;

/// How far a stream is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamProgress {
    /// The slot that commits next.
    pub next_seq: SlotSeq,
    /// The committed tombstone's slot, if the stream has ended.
    pub end_seq: Option<SlotSeq>,
    /// Outcomes of committed slots, in order, from the one asked for on.
    pub outcomes: Vec<(SlotSeq, Vec<BatchOutcome>)>,
}

/// The table of streams, and what became of their slots.
#[async_trait]
pub trait Streams {
    /// Writes the stream's row; must have succeeded before the stream's first PUT (docs/ARCHITECTURE.md).
    async fn open_stream(&self, stream: StreamId, node: NodeId) -> Result<(), MetastoreError>;

    /// How far `stream` is, with outcomes of at most `slots_max` committed slots from `from` on. `None`: no such stream.
    async fn stream_progress(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Option<StreamProgress>, MetastoreError>;

    /// Outcomes of one committed slot; `None` when it is not committed.
    async fn slot_outcomes(&self, slot: Slot) -> Result<Option<Vec<BatchOutcome>>, MetastoreError>;
}
