//! What a footer may say. Writer and reader ask the same function, so nothing is written that cannot be read.

use types::Offset;

use crate::{Footer, FooterBatch, FormatError, Kind};

/// Checks `footer` against itself and against the `body_bytes` bytes that lie before it.
pub(crate) fn check(footer: &Footer, body_bytes: u64) -> Result<(), FormatError> {
    if footer.kind == Kind::Tombstone {
        ensure(footer.batches.is_empty(), "a tombstone holds batches")?;
        ensure(footer.topics.is_empty(), "a tombstone names topics")?;
    }
    let mut free_from = 0;
    for batch in &footer.batches {
        ensure(
            (batch.topic as usize) < footer.topics.len(),
            "a batch refers to a topic that is not there",
        )?;
        ensure(batch.range.start >= free_from, "batches overlap or are out of order")?;
        ensure(batch.range.start < batch.range.end, "a batch holds no bytes")?;
        ensure(
            batch.range.end <= body_bytes,
            "a batch reaches beyond the object's body",
        )?;
        free_from = batch.range.end;
        check_batch(batch, footer.kind)?;
    }
    Ok(())
}

fn check_batch(batch: &FooterBatch, kind: Kind) -> Result<(), FormatError> {
    ensure(batch.partition.0 >= 0, "a partition is negative")?;
    ensure(batch.record_count > 0, "a batch holds no records")?;
    ensure(batch.last_offset_delta >= 0, "a last offset delta is negative")?;
    ensure(
        i64::from(batch.record_count) <= batch.offset_span(),
        "a batch holds more records than offsets",
    )?;
    if kind == Kind::Merged {
        ensure(batch.base_offset.0 >= 0, "a merged batch has no base offset")?;
        ensure(
            batch.base_offset.0.checked_add(batch.offset_span()).is_some(),
            "a merged batch's offsets overflow",
        )
    } else {
        ensure(
            batch.base_offset == Offset::UNKNOWN,
            "a batch of a data object has a base offset",
        )
    }
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), FormatError> {
    if holds {
        Ok(())
    } else {
        Err(FormatError::Invalid(otherwise))
    }
}
