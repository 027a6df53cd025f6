//! Why a batch is refused; the agent turns each into one Kafka error.

/// Why bytes are not one acceptable RecordBatch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Shorter than its header or than its own length field says, CRC mismatch, or nonsense lengths: CORRUPT_MESSAGE.
    #[error("corrupt batch: {0}")]
    Corrupt(&'static str),
    /// Magic 0 or 1 (or unknown): UNSUPPORTED_FOR_MESSAGE_FORMAT.
    #[error("message format v{0} is not supported, only v2")]
    UnsupportedMagic(i8),
    /// Over the topic's limit: MESSAGE_TOO_LARGE.
    #[error("batch of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// Size of the whole batch.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// No batch, several batches, wrong counts, a base offset, control bit, negative sequence with a producer id:
    /// INVALID_RECORD.
    #[error("invalid record batch: {0}")]
    Invalid(&'static str),
    /// The transactional bit: INVALID_TXN_STATE.
    #[error("transactional batches are not supported")]
    Transactional,
    /// A codec that this request version may not carry: UNSUPPORTED_COMPRESSION_TYPE.
    #[error("compression type {0} is not supported here")]
    UnsupportedCompression(i16),
    /// Timestamps that only a broker may set: INVALID_TIMESTAMP.
    #[error("invalid timestamp: {0}")]
    InvalidTimestamp(&'static str),
}
