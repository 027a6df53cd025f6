//! Which partitions of a Produce request carry a batch that may enter the buffer.

use bytes::Bytes;
use record_batch::{BatchError, BatchHeader, Rules, validate_single};

/// First Produce version that may carry zstd (KIP-110).
const ZSTD_VERSION_MIN: i16 = 7;

/// What holds for all batches of one request.
pub fn rules(version: i16, batch_bytes_max: usize) -> Rules {
    Rules {
        batch_bytes_max,
        zstd_allowed: version >= ZSTD_VERSION_MIN,
    }
}

/// Checks one partition's records; none are one batch too few.
pub fn batch(records: &Bytes, rules: Rules) -> Result<BatchHeader, BatchError> {
    validate_single(records, rules)
}
