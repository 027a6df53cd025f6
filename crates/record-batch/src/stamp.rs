//! Changes made to a batch in place.

use types::{Offset, TimestampMs};

use crate::HEADER_BYTES;
use crate::header::{ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, LOG_APPEND_TIME, MAX_TIMESTAMP_AT};

/// Writes base offset and leader epoch into the header at the start of `batch`; both lie outside the CRC.
///
/// # Panics
///
/// If `batch` is shorter than a header: only batches whose header was read are stamped.
pub fn stamp_position(batch: &mut [u8], base_offset: Offset, leader_epoch: i32) {
    assert!(batch.len() >= HEADER_BYTES, "a batch to be stamped has a header");
    put(batch, 0, base_offset.0.to_be_bytes());
    put(batch, LEADER_EPOCH_AT, leader_epoch.to_be_bytes());
}

/// Sets LogAppendTime: attribute bit 3, max timestamp = `now`, CRC recomputed.
///
/// `batch` is exactly one whole batch: the CRC runs to its end.
///
/// # Panics
///
/// If `batch` is shorter than a header: only validated batches are stamped.
pub fn stamp_log_append_time(batch: &mut [u8], now: TimestampMs) {
    assert!(batch.len() >= HEADER_BYTES, "a batch to be stamped has a header");
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    put(batch, ATTRIBUTES_AT, (attributes | LOG_APPEND_TIME).to_be_bytes());
    put(batch, MAX_TIMESTAMP_AT, now.0.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    put(batch, CRC_AT, crc.to_be_bytes());
}

fn put<const N: usize>(batch: &mut [u8], at: usize, field: [u8; N]) {
    batch[at..at + N].copy_from_slice(&field);
}
