//! (skeleton) The records of a batch, decompressed within a bound.
use types::{Offset, TimestampMs};

/// Where and when a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp (the batch's max timestamp under LogAppendTime).
    pub timestamp: TimestampMs,
}

/// Why the records of a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("records cannot be read: {0}")]
pub struct RecordsError(pub &'static str);

/// Offsets and timestamps of all records of one whole batch; decompresses at most `decompressed_bytes_max`.
pub fn records(_batch: &[u8], _decompressed_bytes_max: usize) -> Result<Vec<RecordMeta>, RecordsError> {
    unimplemented!()
}
