//! (skeleton) The 61 bytes every batch starts with.
use types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use crate::BatchError;

/// Bytes of a RecordBatch header.
pub const HEADER_BYTES: usize = 61;

/// Compression of a batch (attribute bits 0 to 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    None,
    /// gzip.
    Gzip,
    /// snappy (xerial framing, as Java writes it, or raw).
    Snappy,
    /// lz4 frames.
    Lz4,
    /// zstd.
    Zstd,
}

/// The header of one batch, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Size of the whole batch in bytes, header included (`batchLength` + 12).
    pub batch_bytes: usize,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// CRC-32C as stored.
    pub crc: u32,
    /// All 16 attribute bits.
    pub attributes: i16,
    /// Inclusive.
    pub last_offset_delta: i32,
    /// Timestamp of the first record.
    pub base_timestamp: TimestampMs,
    /// Largest timestamp.
    pub max_timestamp: TimestampMs,
    /// Producer id or -1.
    pub producer_id: ProducerId,
    /// Producer epoch or -1.
    pub producer_epoch: ProducerEpoch,
    /// First sequence or -1.
    pub base_sequence: Sequence,
    /// Records in the batch.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; checks magic and that the length field is sane, not that
    /// `bytes` holds the whole batch.
    pub fn read(_bytes: &[u8]) -> Result<Self, BatchError> {
        unimplemented!()
    }

    /// The codec; `None` for an unknown one.
    pub fn codec(&self) -> Option<Codec> {
        unimplemented!()
    }

    /// Offsets the batch takes up.
    pub fn offset_span(&self) -> i64 {
        i64::from(self.last_offset_delta) + 1
    }
}
