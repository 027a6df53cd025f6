//! How often what happened: a fault that never strikes tests nothing.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use commit::BatchOutcome;
use commit::invoke::SlotResult;
use types::Slot;

use crate::recorded::Recorded;

/// A number that many histories count up.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Debug for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// What happened in all histories together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers_lost: Count,
    pub(crate) cut_off: Count,
    pub(crate) gave_up: Count,
    pub(crate) killed: Count,
    pub(crate) topics_deleted: Count,
    pub(crate) told_pending: Count,
    pub(crate) told_orphan: Count,
    pub(crate) streams_ended: Count,
    pub(crate) streams_open: Count,
    pub(crate) slots_committed: Count,
    pub(crate) appended: Count,
    pub(crate) duplicate: Count,
    pub(crate) duplicate_forgotten: Count,
    pub(crate) out_of_order: Count,
    pub(crate) old_epoch: Count,
    pub(crate) unknown_producer: Count,
    pub(crate) topic_deleted: Count,
}

impl Tally {
    /// Whether everything happened at least once. Giving up takes four failures in a row, and forgotten duplicates more
    /// luck than a short run has.
    pub(crate) fn is_complete(&self) -> bool {
        [
            &self.answers_lost,
            &self.cut_off,
            &self.killed,
            &self.topics_deleted,
            &self.told_pending,
            &self.told_orphan,
            &self.streams_ended,
            &self.streams_open,
            &self.slots_committed,
            &self.appended,
            &self.duplicate,
            &self.out_of_order,
            &self.old_epoch,
            &self.unknown_producer,
            &self.topic_deleted,
        ]
        .iter()
        .all(|count| count.get() > 0)
    }
}

impl Tally {
    /// Counts what became of one history.
    pub(crate) fn note(&self, told: &[(Slot, SlotResult)], recorded: &Recorded) {
        for (_, result) in told {
            match result {
                SlotResult::Pending => self.told_pending.add(1),
                SlotResult::Orphan => self.told_orphan.add(1),
                _ => {}
            }
        }
        for state in recorded.streams.values() {
            let count = if state.end_seq.is_some() {
                &self.streams_ended
            } else {
                &self.streams_open
            };
            count.add(1);
        }
        for object in recorded.objects.values() {
            self.slots_committed.add(1);
            object.outcomes.iter().for_each(|outcome| self.outcome(*outcome).add(1));
        }
    }

    fn outcome(&self, outcome: BatchOutcome) -> &Count {
        match outcome {
            BatchOutcome::Appended(_) => &self.appended,
            BatchOutcome::Duplicate(_) => &self.duplicate,
            BatchOutcome::DuplicateForgotten => &self.duplicate_forgotten,
            BatchOutcome::OutOfOrderSequence => &self.out_of_order,
            BatchOutcome::InvalidProducerEpoch => &self.old_epoch,
            BatchOutcome::UnknownProducerId => &self.unknown_producer,
            BatchOutcome::TopicDeleted => &self.topic_deleted,
        }
    }
}
