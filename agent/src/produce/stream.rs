//! The agent's open stream: which slots are in flight, which are ours, and what may be acknowledged. Pure.
//!
//! Acks go out in slot order: a slot may be acknowledged as durable only when it and all before it are known to be ours,
//! because a free slot below may still become the stream's end (docs/ARCHITECTURE.md).

use std::collections::BTreeMap;

use commit::{BatchOutcome, SlotFooter};
use types::{Slot, SlotSeq, StreamId};

use crate::produce::buffer::Entry;

/// How a slot was decided in S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotDecision {
    /// Our object is there.
    Ours,
    /// Something else is there, which may end the stream.
    Lost,
    /// Data are there that are not ours, as from a copy of this process: they are part of the stream, ours are not.
    Strangers,
}

#[derive(Debug)]
struct SlotInFlight {
    entries: Vec<Entry>,
    footer: Option<SlotFooter>,
    /// Nobody waits for its batches any more, and they will not be sent again.
    given_up: bool,
    decision: Option<SlotDecision>,
}

impl SlotInFlight {
    fn give_up(&mut self) {
        self.entries.clear();
        self.given_up = true;
    }
}

/// A stream and its slots that are not committed yet.
#[derive(Debug)]
pub struct OpenStream {
    id: StreamId,
    next_seq: SlotSeq,
    /// All slots below are ours.
    durable_end: SlotSeq,
    slots: BTreeMap<SlotSeq, SlotInFlight>,
    batches: usize,
}

impl OpenStream {
    /// A stream whose row was just written.
    pub fn new(id: StreamId) -> Self {
        Self {
            id,
            next_seq: SlotSeq(0),
            durable_end: SlotSeq(0),
            slots: BTreeMap::new(),
            batches: 0,
        }
    }

    /// Its id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The slot the next object takes.
    pub fn next_slot(&self) -> Slot {
        Slot {
            stream: self.id,
            seq: self.next_seq,
        }
    }

    /// The next slot's PUT begins.
    pub fn begin(&mut self, entries: Vec<Entry>, footer: SlotFooter) {
        assert_eq!(footer.slot(), self.next_slot(), "objects are sealed for the next slot");
        self.batches += entries.len();
        let in_flight = SlotInFlight {
            entries,
            footer: Some(footer),
            given_up: false,
            decision: None,
        };
        self.slots.insert(self.next_seq, in_flight);
        self.next_seq = self.next_seq.next();
    }

    /// Slots whose PUT is under way.
    pub fn uploading(&self) -> usize {
        self.slots.values().filter(|slot| slot.decision.is_none()).count()
    }

    /// Slots begun and not committed.
    pub fn uncommitted(&self) -> usize {
        self.slots.len()
    }

    /// Batches in those slots.
    pub fn uncommitted_batches(&self) -> usize {
        self.batches
    }

    /// The first slot that was lost.
    pub fn first_lost(&self) -> Option<SlotSeq> {
        self.slots
            .iter()
            .find(|(_, slot)| matches!(slot.decision, Some(SlotDecision::Lost | SlotDecision::Strangers)))
            .map(|(seq, _)| *seq)
    }

    /// The first slot not committed.
    pub fn first_uncommitted(&self) -> SlotSeq {
        self.slots.keys().next().copied().unwrap_or(self.next_seq)
    }

    /// Notes how a slot was decided, acknowledges what has become durable by it, and returns the footers of those slots
    /// in order: their commits are to be seen to.
    pub fn decided(&mut self, seq: SlotSeq, decision: SlotDecision) -> Vec<SlotFooter> {
        if let Some(slot) = self.slots.get_mut(&seq) {
            slot.decision = Some(decision);
        }
        let mut durable = Vec::new();
        while let Some(slot) = self.slots.get_mut(&self.durable_end) {
            if slot.decision != Some(SlotDecision::Ours) {
                break;
            }
            for entry in &mut slot.entries {
                entry.ack.durable();
                // Safe in S3: nobody will need the bytes from us again.
                entry.bytes = bytes::Bytes::new();
                entry.permit = None;
            }
            durable.extend(slot.footer.take());
            self.durable_end = self.durable_end.next();
        }
        durable
    }

    /// Notes what the commit of one of our slots decided, and acknowledges its batches. A slot that is not in flight
    /// (any more) is ignored: its commit may be reported twice. So is one that we do not know to be ours yet, although
    /// the function may have committed it before its PUT was answered: it will be reported again.
    pub fn committed(&mut self, seq: SlotSeq, outcomes: &[BatchOutcome]) {
        if seq >= self.durable_end {
            return;
        }
        let Some(slot) = self.slots.remove(&seq) else {
            return;
        };
        if slot.given_up {
            return;
        }
        self.batches -= slot.entries.len();
        assert_eq!(
            slot.entries.len(),
            outcomes.len(),
            "a commit has one outcome per batch of its footer"
        );
        for (mut entry, outcome) in slot.entries.into_iter().zip(outcomes) {
            entry.ack.committed(*outcome);
        }
    }

    /// Drops the batches of the first lost slot and of all behind it: their producers are told to send them again.
    pub fn give_up_lost(&mut self) {
        let Some(lost) = self.first_lost() else { return };
        for slot in self.slots.range_mut(lost..).map(|(_, slot)| slot) {
            self.batches -= slot.entries.len();
            slot.give_up();
        }
    }

    /// Drops the batches of slots that hold a stranger's data: what was decided about those is not about ours.
    pub fn give_up_strangers(&mut self) {
        for slot in self
            .slots
            .values_mut()
            .filter(|slot| slot.decision == Some(SlotDecision::Strangers))
        {
            self.batches -= slot.entries.len();
            slot.give_up();
        }
    }

    /// Takes the batches of all slots still in flight, in order: none of them will ever commit here.
    pub fn into_lost(self) -> Vec<Entry> {
        self.slots.into_values().flat_map(|slot| slot.entries).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use types::{ClusterId, ContentId, Offset};
    use uuid::Uuid;

    use super::*;
    use crate::produce::ack::{AckLevel, BatchAck, PendingAck};
    use crate::produce::buffer::tests::entry;
    use crate::produce::object::seal;

    fn begin(stream: &mut OpenStream, level: AckLevel) -> oneshot::Receiver<BatchAck> {
        let (ack, told) = PendingAck::new(level);
        let mut entries = vec![Entry { ack, ..entry(1, 0, 10) }];
        let content = ContentId(Uuid::from_u128(u128::from(stream.next_slot().seq.0)));
        let object = seal(&mut entries, ClusterId(Uuid::nil()), stream.next_slot(), content, None);
        stream.begin(entries, object.footer);
        told
    }

    fn stream() -> OpenStream {
        OpenStream::new(StreamId(Uuid::from_u128(1)))
    }

    #[test]
    fn durable_acks_go_out_in_slot_order() {
        let mut stream = stream();
        let mut first = begin(&mut stream, AckLevel::Durable);
        let mut second = begin(&mut stream, AckLevel::Durable);
        assert!(stream.decided(SlotSeq(1), SlotDecision::Ours).is_empty());
        assert!(second.try_recv().is_err());
        let footers = stream.decided(SlotSeq(0), SlotDecision::Ours);
        assert_eq!(footers.iter().map(|f| f.slot().seq.0).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(first.try_recv(), Ok(BatchAck::Durable));
        assert_eq!(second.try_recv(), Ok(BatchAck::Durable));
    }

    #[test]
    fn nothing_past_a_lost_slot_is_acknowledged() {
        let mut stream = stream();
        let mut first = begin(&mut stream, AckLevel::Durable);
        let mut second = begin(&mut stream, AckLevel::Durable);
        stream.decided(SlotSeq(0), SlotDecision::Lost);
        assert!(stream.decided(SlotSeq(1), SlotDecision::Ours).is_empty());
        assert_eq!(stream.first_lost(), Some(SlotSeq(0)));
        assert!(first.try_recv().is_err());
        assert!(second.try_recv().is_err());
        let lost = stream.into_lost();
        assert_eq!(lost.len(), 2);
        assert!(
            lost.iter().all(|entry| entry.bytes.len() == 10),
            "bytes are kept until they are safe"
        );
    }

    #[test]
    fn a_commit_that_is_seen_before_the_put_is_answered_does_not_stop_the_stream() {
        let mut stream = stream();
        let mut told = [
            begin(&mut stream, AckLevel::Committed),
            begin(&mut stream, AckLevel::Durable),
        ];
        begin(&mut stream, AckLevel::Committed);
        let outcome = BatchOutcome::Appended(Offset(0));
        stream.decided(SlotSeq(0), SlotDecision::Ours);
        stream.committed(SlotSeq(0), &[outcome]);
        stream.committed(SlotSeq(1), &[outcome]);
        assert_eq!(stream.uploading(), 2, "the PUT of slot 1 is still under way");
        let footers = stream.decided(SlotSeq(1), SlotDecision::Ours);
        assert_eq!(footers.len(), 1, "the watcher is given the slot all the same");
        assert_eq!(stream.decided(SlotSeq(2), SlotDecision::Ours).len(), 1);
        assert_eq!(told[0].try_recv(), Ok(BatchAck::Committed(outcome)));
        assert_eq!(told[1].try_recv(), Ok(BatchAck::Durable));
    }

    #[test]
    fn a_committed_ack_carries_the_outcome() {
        let mut stream = stream();
        let mut told = begin(&mut stream, AckLevel::Committed);
        stream.decided(SlotSeq(0), SlotDecision::Ours);
        assert!(told.try_recv().is_err());
        let outcome = BatchOutcome::Appended(Offset(42));
        stream.committed(SlotSeq(0), &[outcome]);
        stream.committed(SlotSeq(0), &[outcome]);
        assert_eq!(told.try_recv(), Ok(BatchAck::Committed(outcome)));
        assert_eq!(stream.uncommitted(), 0);
    }
}
