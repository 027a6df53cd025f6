//! What the decision looks at: locked rows and footers, as plain values.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_format::Footer;
use types::{Offset, PartitionIndex, ProducerId, Slot, SlotSeq, StreamId, TimestampMs, TopicId, TopicNumber};

use crate::ProducerState;

/// A slot's object as far as the commit needs it.
#[derive(Clone, Debug)]
pub struct SlotFooter {
    /// The footer; its slot is the one whose key was read.
    pub footer: Arc<Footer>,
    /// Footer and trailer as they stand in the object, to be kept while the slot is pending.
    pub tail: Bytes,
    /// Size of the whole object.
    pub object_bytes: u64,
}

impl SlotFooter {
    /// The slot the object was written for.
    pub fn slot(&self) -> Slot {
        self.footer.slot
    }
}

/// A stream's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The gate: the slot that commits next.
    pub next_seq: SlotSeq,
    /// The tombstone's slot, once it is committed.
    pub end_seq: Option<SlotSeq>,
}

/// A partition's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The topic's short number.
    pub topic: TopicNumber,
    /// The offset to hand out next.
    pub next_offset: Offset,
    /// Largest record timestamp so far.
    pub max_timestamp: TimestampMs,
}

/// Everything a commit has locked and read, or the simulator's equivalent. Ordered maps: the same input gives the same
/// decision, byte for byte.
#[derive(Clone, Debug)]
pub struct LockedState {
    /// The database's time.
    pub now: TimestampMs,
    /// How long a silent producer is remembered.
    pub producer_expiry_ms: i64,
    /// The streams of the slots; a stream without a row is missing here.
    pub streams: BTreeMap<StreamId, StreamState>,
    /// The partitions the footers name; a deleted or unknown one is missing here.
    pub partitions: BTreeMap<(TopicId, PartitionIndex), PartitionState>,
    /// What those partitions remember of the footers' producers.
    pub producers: BTreeMap<(TopicNumber, PartitionIndex, ProducerId), ProducerState>,
}
