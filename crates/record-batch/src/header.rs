//! The 61 bytes every batch starts with (Kafka's `DefaultRecordBatch`), and a walk from batch to batch.
//!
//! ```text
//!  0 i64 base offset     16 i8  magic             27 i64 base timestamp   51 i16 producer epoch
//!  8 i32 batch length    17 u32 CRC of 21..       35 i64 max timestamp    53 i32 base sequence
//! 12 i32 leader epoch    21 i16 attributes        43 i64 producer id      57 i32 record count
//!                        23 i32 last offset delta
//! ```
//!
//! The batch length counts from byte 12 on; the CRC covers everything from byte 21 on, so base offset and leader epoch
//! may change without it.

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

/// Where the leader epoch lies.
pub(crate) const LEADER_EPOCH_AT: usize = 12;
/// Where the magic lies, in every message format Kafka ever had.
pub(crate) const MAGIC_AT: usize = 16;
/// Where the CRC lies.
pub(crate) const CRC_AT: usize = 17;
/// Where the attributes lie; from here on the CRC counts.
pub(crate) const ATTRIBUTES_AT: usize = 21;
/// Where the largest timestamp lies.
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;

/// Base offset and batch length: not counted by the batch length.
const LOG_OVERHEAD_BYTES: usize = 12;
const MAGIC: i8 = 2;

const CODEC_MASK: i16 = 0b111;
pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

impl BatchHeader {
    /// Reads the header at the start of `bytes`; checks magic and that the length field is sane, not that
    /// `bytes` holds the whole batch.
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        // The magic comes first: messages of the old formats may be shorter than our header.
        match bytes.get(MAGIC_AT).map(|magic| magic.cast_signed()) {
            None => return Err(BatchError::Corrupt("shorter than the magic's place")),
            Some(MAGIC) => {}
            Some(other) => return Err(BatchError::UnsupportedMagic(other)),
        }
        let header = bytes
            .first_chunk()
            .ok_or(BatchError::Corrupt("shorter than its header"))?;
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(field(header, 0))),
            batch_bytes: batch_bytes(i32::from_be_bytes(field(header, 8)))?,
            leader_epoch: i32::from_be_bytes(field(header, LEADER_EPOCH_AT)),
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes: i16::from_be_bytes(field(header, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: TimestampMs(i64::from_be_bytes(field(header, 27))),
            max_timestamp: TimestampMs(i64::from_be_bytes(field(header, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(field(header, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(header, 51))),
            base_sequence: Sequence(i32::from_be_bytes(field(header, 53))),
            record_count: i32::from_be_bytes(field(header, 57)),
        })
    }

    /// The codec; `None` for an unknown one.
    pub fn codec(&self) -> Option<Codec> {
        match self.codec_id() {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// The codec's number as it stands in the attributes, known or not.
    pub fn codec_id(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    /// Whether the largest timestamp is the broker's time and holds for every record.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the batch is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a transaction's markers instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Offsets the batch takes up.
    pub fn offset_span(&self) -> i64 {
        i64::from(self.last_offset_delta) + 1
    }
}

/// Walks the batches that lie end to end in `bytes`: where each starts, and its header. Stops at the end, or after the
/// first error: a batch that is cut off is one. Checksums are not looked at.
pub fn batches(bytes: &[u8]) -> impl Iterator<Item = Result<(usize, BatchHeader), BatchError>> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let header = BatchHeader::read(rest).and_then(|header| {
            let whole = header.batch_bytes <= rest.len();
            whole.then_some(header).ok_or(CUT_OFF)
        });
        let at = start;
        start = match &header {
            Ok(header) => start + header.batch_bytes,
            Err(_) => bytes.len(),
        };
        Some(header.map(|header| (at, header)))
    })
}

pub(crate) const CUT_OFF: BatchError = BatchError::Corrupt("shorter than its length field says");

fn batch_bytes(length: i32) -> Result<usize, BatchError> {
    usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(LOG_OVERHEAD_BYTES))
        .filter(|batch_bytes| *batch_bytes >= HEADER_BYTES)
        .ok_or(BatchError::Corrupt("its length field is smaller than a header"))
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&header[at..at + N]);
    field
}
