//! What became of one batch, and how an object's row keeps it.

use serde::{Deserialize, Serialize};
use types::Offset;

/// What became of one batch. Decided once, kept in the object's row, read by whoever asks later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchOutcome {
    /// It is part of the log, from this offset on.
    Appended(Offset),
    /// Its records were there already, from this offset on; the batch's own bytes are not part of the log.
    Duplicate(Offset),
    /// Its records were there already, longer ago than the partition remembers where.
    DuplicateForgotten,
    /// Its producer left out a sequence.
    OutOfOrderSequence,
    /// Its producer has been replaced by a newer epoch.
    InvalidProducerEpoch,
    /// The partition knew its producer once and has forgotten it since.
    UnknownProducerId,
    /// The topic or partition is not there (any more).
    TopicDeleted,
}

/// A row's outcomes do not decode: written by a newer version, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored outcomes do not decode at byte {0}")]
pub struct OutcomesError(pub usize);

const APPENDED: u8 = 0;
const DUPLICATE: u8 = 1;
const DUPLICATE_FORGOTTEN: u8 = 2;
const OUT_OF_ORDER_SEQUENCE: u8 = 3;
const INVALID_PRODUCER_EPOCH: u8 = 4;
const UNKNOWN_PRODUCER_ID: u8 = 5;
const TOPIC_DELETED: u8 = 6;

/// One byte of kind per batch, then for `Appended` and `Duplicate` the offset in 8 bytes, big endian.
pub fn encode_outcomes(outcomes: &[BatchOutcome]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(outcomes.len() * 9);
    for outcome in outcomes {
        match outcome {
            BatchOutcome::Appended(offset) => put_with_offset(&mut bytes, APPENDED, *offset),
            BatchOutcome::Duplicate(offset) => put_with_offset(&mut bytes, DUPLICATE, *offset),
            BatchOutcome::DuplicateForgotten => bytes.push(DUPLICATE_FORGOTTEN),
            BatchOutcome::OutOfOrderSequence => bytes.push(OUT_OF_ORDER_SEQUENCE),
            BatchOutcome::InvalidProducerEpoch => bytes.push(INVALID_PRODUCER_EPOCH),
            BatchOutcome::UnknownProducerId => bytes.push(UNKNOWN_PRODUCER_ID),
            BatchOutcome::TopicDeleted => bytes.push(TOPIC_DELETED),
        }
    }
    bytes
}

fn put_with_offset(bytes: &mut Vec<u8>, kind: u8, offset: Offset) {
    bytes.push(kind);
    bytes.extend_from_slice(&offset.0.to_be_bytes());
}

/// The inverse of [`encode_outcomes`].
pub fn decode_outcomes(bytes: &[u8]) -> Result<Vec<BatchOutcome>, OutcomesError> {
    let mut outcomes = Vec::new();
    let mut at = 0;
    while let Some(&kind) = bytes.get(at) {
        let offset = || {
            let field = bytes
                .get(at + 1..at + 9)
                .and_then(|field| field.try_into().ok())
                .ok_or(OutcomesError(at))?;
            Ok(Offset(i64::from_be_bytes(field)))
        };
        let outcome = match kind {
            APPENDED => BatchOutcome::Appended(offset()?),
            DUPLICATE => BatchOutcome::Duplicate(offset()?),
            DUPLICATE_FORGOTTEN => BatchOutcome::DuplicateForgotten,
            OUT_OF_ORDER_SEQUENCE => BatchOutcome::OutOfOrderSequence,
            INVALID_PRODUCER_EPOCH => BatchOutcome::InvalidProducerEpoch,
            UNKNOWN_PRODUCER_ID => BatchOutcome::UnknownProducerId,
            TOPIC_DELETED => BatchOutcome::TopicDeleted,
            _ => return Err(OutcomesError(at)),
        };
        at += if matches!(outcome, BatchOutcome::Appended(_) | BatchOutcome::Duplicate(_)) {
            9
        } else {
            1
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_as_they_were_stored() {
        let all = [
            BatchOutcome::Appended(Offset(i64::MAX)),
            BatchOutcome::Duplicate(Offset(0)),
            BatchOutcome::DuplicateForgotten,
            BatchOutcome::OutOfOrderSequence,
            BatchOutcome::InvalidProducerEpoch,
            BatchOutcome::UnknownProducerId,
            BatchOutcome::TopicDeleted,
        ];
        assert_eq!(decode_outcomes(&encode_outcomes(&all)), Ok(all.to_vec()));
    }

    #[test]
    fn damaged_outcomes_are_an_error() {
        assert_eq!(decode_outcomes(&[2, 99]), Err(OutcomesError(1)));
        assert_eq!(decode_outcomes(&[0, 1, 2]), Err(OutcomesError(0)));
    }
}
