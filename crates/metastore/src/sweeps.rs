//! What the sweep needs to know: streams that nobody holds open any more.

use async_trait::async_trait;
use types::{SlotSeq, StreamId};

use crate::MetastoreError;

/// A stream without an end that no live lease names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadStream {
    /// The stream.
    pub stream: StreamId,
    /// The slot that commits next.
    pub next_seq: SlotSeq,
    /// Whether an earlier pass, at least a grace period ago, saw the gate where it stands now.
    pub stood_still: bool,
}

/// Dead streams, and what the sweep notes of them.
#[async_trait]
pub trait Sweeps {
    /// Dead streams, at most `streams_max`. A stream counts only once it is older than the grace period: its agent may
    /// not have taken its lease yet. Those not swept yet come first and those that have stood still longest come last:
    /// streams that cannot be ended would otherwise keep the rest from ever being looked at. Work is proportional to
    /// what is open.
    async fn dead_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<DeadStream>, MetastoreError>;

    /// Notes that a pass saw `stream`'s gate at `seq`; the time of the first such pass stays.
    async fn note_swept(&self, stream: StreamId, seq: SlotSeq) -> Result<(), MetastoreError>;
}
