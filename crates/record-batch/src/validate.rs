//! (skeleton) What a produce request may carry.
use crate::{BatchError, BatchHeader};

/// What the topic and the request version allow.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Largest whole batch.
    pub batch_bytes_max: usize,
    /// Produce 7 and up.
    pub zstd_allowed: bool,
}

/// Checks that `bytes` is exactly one acceptable batch (CRC included) and returns its header.
pub fn validate_single(_bytes: &[u8], _rules: Rules) -> Result<BatchHeader, BatchError> {
    unimplemented!()
}
