//! What must hold of idempotent producers, told without the decision's own rules: in the log of a partition a
//! producer's sequences go up one after another, or begin at 0 under a newer epoch or after the expiry, and a duplicate
//! is one.

use std::collections::BTreeMap;

use commit::BatchOutcome;
use types::Offset;

use crate::history::{EXPIRY_MS, PAUSE_UNIT_MS};
use crate::judge::committed;
use crate::play::{Play, Told};
use crate::recorded::OnPostgres;

/// A batch in the log.
#[derive(Clone, Copy, Debug)]
struct Appended {
    epoch: i16,
    sequence: i32,
    count: u64,
    offset: i64,
    /// Units of pause before it.
    at: i64,
}

pub(crate) fn check(play: &Play, told: &Told, postgres: &OnPostgres) {
    let mut logs: BTreeMap<(i64, usize, i32), Vec<Appended>> = BTreeMap::new();
    for (id, planned, outcomes) in committed(play, postgres) {
        let ended = told.phase_ends.iter().filter(|(last, _)| *last < id);
        let at = ended.map(|(_, units)| units).sum();
        for (batch, outcome) in planned.batches.iter().zip(outcomes) {
            let (producer, epoch, sequence) = batch.producer;
            if producer < 0 {
                continue;
            }
            let log = logs.entry((producer, batch.topic, batch.partition)).or_default();
            let candidate = Appended {
                epoch,
                sequence,
                count: batch.count,
                offset: 0,
                at,
            };
            check_outcome(log, candidate, *outcome);
        }
    }
}

fn check_outcome(log: &mut Vec<Appended>, candidate: Appended, outcome: BatchOutcome) {
    let same = |known: &&Appended| {
        (known.epoch, known.sequence, known.count) == (candidate.epoch, candidate.sequence, candidate.count)
    };
    match outcome {
        BatchOutcome::Appended(Offset(offset)) => {
            assert!(
                may_follow(log.last(), candidate),
                "{candidate:?} was appended after {log:?}"
            );
            log.push(Appended { offset, ..candidate });
        }
        BatchOutcome::Duplicate(Offset(offset)) => {
            let mut known = log.iter().filter(same);
            assert!(
                known.any(|known| known.offset == offset),
                "{candidate:?} is no duplicate of offset {offset} in {log:?}"
            );
        }
        BatchOutcome::DuplicateForgotten => {
            assert!(
                log.iter().any(|known| known.epoch == candidate.epoch),
                "{candidate:?} after {log:?}"
            );
        }
        BatchOutcome::OutOfOrderSequence
        | BatchOutcome::InvalidProducerEpoch
        | BatchOutcome::UnknownProducerId
        | BatchOutcome::TopicDeleted => {}
    }
}

fn may_follow(last: Option<&Appended>, next: Appended) -> bool {
    let Some(last) = last else {
        return next.sequence == 0;
    };
    let goes_on = next.epoch == last.epoch && next.sequence == last.sequence + last.count as i32;
    let expired = (next.at - last.at) * PAUSE_UNIT_MS > EXPIRY_MS;
    goes_on || (next.sequence == 0 && (next.epoch > last.epoch || (expired && next.epoch >= last.epoch)))
}
