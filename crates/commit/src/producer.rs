//! What a partition remembers of an idempotent producer, and how it judges the next batch.
//! Kafka's rules (`ProducerAppendInfo`, `ProducerStateEntry`), with two differences that come from many agents writing
//! at once: without state only sequence 0 is taken, and an old duplicate is told from a gap.

use types::limits::PRODUCER_BATCHES_REMEMBERED;
use types::{Offset, ProducerEpoch, Sequence, TimestampMs};

use crate::BatchOutcome;

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedBatch {
    /// Sequence of its first record.
    pub base_sequence: Sequence,
    /// Records in it.
    pub record_count: i32,
    /// Offset of its first record.
    pub base_offset: Offset,
}

/// What a partition remembers of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// The newest epoch seen.
    pub epoch: ProducerEpoch,
    /// Its last batches under that epoch, oldest first, at least one, at most [`PRODUCER_BATCHES_REMEMBERED`].
    pub batches: Vec<RememberedBatch>,
    /// When the last one was appended.
    pub updated_at: TimestampMs,
}

/// A batch before it is appended, as far as its producer matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) epoch: ProducerEpoch,
    pub(crate) base_sequence: Sequence,
    pub(crate) record_count: i32,
}

/// Why a candidate is not appended, or `None` if it is.
pub(crate) fn refusal(
    state: Option<&ProducerState>,
    candidate: Candidate,
    now: TimestampMs,
    expiry_ms: i64,
) -> Option<BatchOutcome> {
    let starts_afresh = candidate.base_sequence == Sequence(0);
    let Some(state) = state else {
        // Kafka takes any first sequence. Here the batch with sequence 0 may still be on its way through another agent.
        return (!starts_afresh).then_some(BatchOutcome::OutOfOrderSequence);
    };
    if candidate.epoch < state.epoch {
        return Some(BatchOutcome::InvalidProducerEpoch);
    }
    if let Some(known) = state.find(candidate) {
        return Some(BatchOutcome::Duplicate(known.base_offset));
    }
    if now.0 - state.updated_at.0 > expiry_ms {
        // Forgotten, but for the proof that nothing is missing: the next sequence may go on.
        let goes_on = candidate.epoch == state.epoch && candidate.base_sequence == state.next_sequence();
        return (!starts_afresh && !goes_on).then_some(BatchOutcome::UnknownProducerId);
    }
    if candidate.epoch > state.epoch {
        return (!starts_afresh).then_some(BatchOutcome::OutOfOrderSequence);
    }
    if candidate.base_sequence == state.next_sequence() {
        return None;
    }
    if state.is_older_than_remembered(candidate) {
        return Some(BatchOutcome::DuplicateForgotten);
    }
    Some(BatchOutcome::OutOfOrderSequence)
}

impl ProducerState {
    /// The state after `candidate` was appended at `base_offset`.
    pub(crate) fn after(before: Option<&Self>, candidate: Candidate, base_offset: Offset, now: TimestampMs) -> Self {
        let same_run =
            before.filter(|state| state.epoch == candidate.epoch && state.next_sequence() == candidate.base_sequence);
        let mut batches = same_run.map(|state| state.batches.clone()).unwrap_or_default();
        if batches.len() >= PRODUCER_BATCHES_REMEMBERED {
            batches.remove(0);
        }
        let Candidate {
            epoch,
            base_sequence,
            record_count,
        } = candidate;
        batches.push(RememberedBatch {
            base_sequence,
            record_count,
            base_offset,
        });
        Self {
            epoch,
            batches,
            updated_at: now,
        }
    }

    /// The sequence of its last record.
    pub fn last_sequence(&self) -> Sequence {
        self.next_sequence().plus(-1)
    }

    fn next_sequence(&self) -> Sequence {
        let last = self.batches.last().expect("a state is made by appending a batch");
        last.base_sequence.plus(last.record_count)
    }

    fn find(&self, candidate: Candidate) -> Option<&RememberedBatch> {
        let same = |known: &&RememberedBatch| {
            known.base_sequence == candidate.base_sequence && known.record_count == candidate.record_count
        };
        self.batches.iter().find(same).filter(|_| self.epoch == candidate.epoch)
    }

    /// Whether the whole candidate ends at or before the first batch remembered. Sequences wrap, so "before" means
    /// less than half the circle back.
    fn is_older_than_remembered(&self, candidate: Candidate) -> bool {
        let oldest = self.batches.first().expect("a state is made by appending a batch");
        let end = candidate.base_sequence.plus(candidate.record_count);
        let distance = oldest.base_sequence.plus(-end.0).0;
        self.batches.len() == PRODUCER_BATCHES_REMEMBERED && distance < i32::MAX / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_000_000);
    const EXPIRY_MS: i64 = 1000;

    fn candidate(epoch: i16, base_sequence: i32, record_count: i32) -> Candidate {
        Candidate {
            epoch: ProducerEpoch(epoch),
            base_sequence: Sequence(base_sequence),
            record_count,
        }
    }

    /// Appends batches of ten records from `first` on, one after another, and returns the state.
    fn appended(epoch: i16, first: i32, batches: i32) -> ProducerState {
        let mut state = None;
        for n in 0..batches {
            let next = candidate(epoch, Sequence(first).plus(n * 10).0, 10);
            state = Some(ProducerState::after(
                state.as_ref(),
                next,
                Offset(i64::from(n) * 10),
                NOW,
            ));
        }
        state.expect("at least one batch")
    }

    fn judge(state: Option<&ProducerState>, next: Candidate) -> Option<BatchOutcome> {
        refusal(state, next, NOW, EXPIRY_MS)
    }

    #[test]
    fn without_state_only_sequence_zero_is_taken() {
        assert_eq!(judge(None, candidate(0, 0, 5)), None);
        assert_eq!(judge(None, candidate(0, 5, 5)), Some(BatchOutcome::OutOfOrderSequence));
    }

    #[test]
    fn the_next_sequence_is_taken_and_a_gap_refused() {
        let state = appended(0, 0, 3);
        assert_eq!(judge(Some(&state), candidate(0, 30, 1)), None);
        assert_eq!(
            judge(Some(&state), candidate(0, 31, 1)),
            Some(BatchOutcome::OutOfOrderSequence)
        );
    }

    #[test]
    fn any_of_the_last_five_is_a_duplicate_with_its_offset() {
        let state = appended(0, 0, 7);
        for n in 2..7 {
            let again = candidate(0, n * 10, 10);
            assert_eq!(
                judge(Some(&state), again),
                Some(BatchOutcome::Duplicate(Offset(i64::from(n) * 10)))
            );
        }
        assert_eq!(
            judge(Some(&state), candidate(0, 10, 10)),
            Some(BatchOutcome::DuplicateForgotten)
        );
        assert_eq!(
            judge(Some(&state), candidate(0, 0, 10)),
            Some(BatchOutcome::DuplicateForgotten)
        );
    }

    #[test]
    fn a_batch_cut_otherwise_than_the_remembered_ones_is_out_of_order() {
        let state = appended(0, 0, 7);
        assert_eq!(
            judge(Some(&state), candidate(0, 25, 10)),
            Some(BatchOutcome::OutOfOrderSequence)
        );
        assert_eq!(
            judge(Some(&state), candidate(0, 60, 5)),
            Some(BatchOutcome::OutOfOrderSequence)
        );
    }

    #[test]
    fn epochs_only_rise_and_start_at_sequence_zero() {
        let state = appended(3, 0, 2);
        assert_eq!(
            judge(Some(&state), candidate(2, 20, 1)),
            Some(BatchOutcome::InvalidProducerEpoch)
        );
        assert_eq!(
            judge(Some(&state), candidate(4, 20, 1)),
            Some(BatchOutcome::OutOfOrderSequence)
        );
        assert_eq!(judge(Some(&state), candidate(4, 0, 1)), None);
        let bumped = ProducerState::after(Some(&state), candidate(4, 0, 1), Offset(20), NOW);
        assert_eq!(bumped.batches.len(), 1);
        assert_eq!(
            judge(Some(&bumped), candidate(3, 10, 10)),
            Some(BatchOutcome::InvalidProducerEpoch)
        );
    }

    #[test]
    fn sequences_go_on_at_zero_after_the_largest() {
        let state = appended(0, i32::MAX - 9, 1);
        assert_eq!(judge(Some(&state), candidate(0, 0, 1)), None);
        let wrapped = appended(0, i32::MAX - 24, 6);
        assert_eq!(
            judge(Some(&wrapped), candidate(0, i32::MAX - 24, 10)),
            Some(BatchOutcome::DuplicateForgotten)
        );
    }

    #[test]
    fn an_expired_producer_is_unknown_unless_it_goes_on_or_starts_afresh() {
        let state = appended(0, 0, 1);
        let later = TimestampMs(NOW.0 + EXPIRY_MS + 1);
        let judge = |next| refusal(Some(&state), next, later, EXPIRY_MS);
        assert_eq!(judge(candidate(0, 11, 1)), Some(BatchOutcome::UnknownProducerId));
        assert_eq!(judge(candidate(0, 10, 1)), None);
        assert_eq!(judge(candidate(0, 0, 1)), None);
    }

    #[test]
    fn a_retry_of_an_expired_producer_is_still_a_duplicate() {
        let state = appended(0, 0, 1);
        let later = TimestampMs(NOW.0 + EXPIRY_MS + 1);
        let again = refusal(Some(&state), candidate(0, 0, 10), later, EXPIRY_MS);
        assert_eq!(again, Some(BatchOutcome::Duplicate(Offset(0))));
    }
}
