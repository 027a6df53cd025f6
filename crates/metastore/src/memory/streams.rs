//! Streams in memory.

use ::commit::{BatchOutcome, StreamState};
use async_trait::async_trait;
use types::{NodeId, Slot, SlotSeq, StreamId};

use super::Connection;
use super::tables::{Stream, Tables};
use crate::{MetastoreError, StreamProgress, Streams};

#[async_trait]
impl Streams for Connection {
    async fn open_stream(&self, stream: StreamId, node: NodeId) -> Result<(), MetastoreError> {
        let open = self.call("open_stream", |tables, now| {
            tables.streams.entry(stream).or_insert(Stream {
                node,
                state: StreamState {
                    next_seq: SlotSeq(0),
                    end_seq: None,
                },
                opened_at: now,
                swept: None,
                ended_at: None,
                searched: false,
            });
        });
        open.await
    }

    async fn stream_progress(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Option<StreamProgress>, MetastoreError> {
        let look = self.call("stream_progress", |tables, _| {
            let state = tables.streams.get(&stream)?.state;
            let committed = tables.committed_slots(stream, from);
            Some(StreamProgress {
                next_seq: state.next_seq,
                end_seq: state.end_seq,
                outcomes: committed.take(usize::try_from(slots_max).unwrap_or(0)).collect(),
            })
        });
        look.await
    }

    async fn slot_outcomes(&self, slot: Slot) -> Result<Option<Vec<BatchOutcome>>, MetastoreError> {
        self.call("slot_outcomes", |tables, _| tables.outcomes(slot)).await
    }
}

impl Tables {
    /// What became of the batches of a committed slot.
    pub(super) fn outcomes(&self, slot: Slot) -> Option<Vec<BatchOutcome>> {
        let object = self.objects_by_slot.get(&slot)?;
        Some(self.objects[object].outcomes.clone())
    }

    fn committed_slots(
        &self,
        stream: StreamId,
        from: SlotSeq,
    ) -> impl Iterator<Item = (SlotSeq, Vec<BatchOutcome>)> + '_ {
        let slots = slots_from(stream, from);
        self.objects_by_slot
            .range(slots)
            .map(|(slot, object)| (slot.seq, self.objects[object].outcomes.clone()))
    }
}

/// The slots of `stream` from `from` on.
pub(super) fn slots_from(stream: StreamId, from: SlotSeq) -> std::ops::RangeInclusive<Slot> {
    let last = Slot {
        stream,
        seq: SlotSeq(u64::MAX),
    };
    Slot { stream, seq: from }..=last
}
