//! (skeleton) Changes made to a batch in place.
use types::{Offset, TimestampMs};

/// Writes base offset and leader epoch into the header at the start of `batch`; both lie outside the CRC.
pub fn stamp_position(_batch: &mut [u8], _base_offset: Offset, _leader_epoch: i32) {
    unimplemented!()
}

/// Sets LogAppendTime: attribute bit 3, max timestamp = `now`, CRC recomputed.
pub fn stamp_log_append_time(_batch: &mut [u8], _now: TimestampMs) {
    unimplemented!()
}
