//! The records of a batch, decompressed within a bound. Needed where one record's offset or time matters: ListOffsets by
//! timestamp and the checkers; produce and fetch never look in here.
//!
//! A record (Kafka's `DefaultRecord`): its length, attributes, timestamp delta, offset delta, key, value and headers;
//! all numbers but the attributes are zigzag varints.

use types::{Offset, TimestampMs};

use crate::codec::decompress;
use crate::{BatchHeader, HEADER_BYTES};

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

/// Fewest bytes of a record: length, attributes, two deltas, two lengths, header count.
const RECORD_BYTES_MIN: usize = 7;

/// Offsets and timestamps of all records of one whole batch; decompresses at most `decompressed_bytes_max`.
///
/// Bytes after the batch are not looked at, nor is its CRC.
pub fn records(batch: &[u8], decompressed_bytes_max: usize) -> Result<Vec<RecordMeta>, RecordsError> {
    let header = BatchHeader::read(batch).map_err(|_| RecordsError("the batch's header is damaged"))?;
    let payload = batch
        .get(HEADER_BYTES..header.batch_bytes)
        .ok_or(RecordsError("the batch is cut off"))?;
    let codec = header.codec().ok_or(RecordsError("unknown codec"))?;
    let plain = decompress(codec, payload, decompressed_bytes_max)?;
    all(&header, &plain)
}

fn all(header: &BatchHeader, plain: &[u8]) -> Result<Vec<RecordMeta>, RecordsError> {
    let count = usize::try_from(header.record_count)
        .ok()
        .filter(|count| *count <= plain.len() / RECORD_BYTES_MIN)
        .ok_or(RecordsError("the record count does not fit the bytes"))?;
    let mut cursor = Cursor(plain);
    let mut metas: Vec<RecordMeta> = Vec::with_capacity(count);
    for _ in 0..count {
        let meta = record(&mut cursor, header)?;
        if metas.last().is_some_and(|last| last.offset >= meta.offset) {
            return Err(RecordsError("offsets do not ascend"));
        }
        metas.push(meta);
    }
    if !cursor.0.is_empty() {
        return Err(RecordsError("bytes follow the last record"));
    }
    Ok(metas)
}

fn record(batch: &mut Cursor<'_>, header: &BatchHeader) -> Result<RecordMeta, RecordsError> {
    let mut record = Cursor(batch.length_then_bytes()?);
    record.bytes(1)?;
    let timestamp_delta = record.varint()?;
    let offset_delta = record.varint()?;
    record.nullable()?;
    record.nullable()?;
    headers(&mut record)?;
    if !record.0.is_empty() {
        return Err(RecordsError("a record is longer than its fields"));
    }
    Ok(RecordMeta {
        offset: offset(header, offset_delta)?,
        timestamp: timestamp(header, timestamp_delta)?,
    })
}

fn headers(record: &mut Cursor<'_>) -> Result<(), RecordsError> {
    let count = record.varint()?;
    if count < 0 {
        return Err(RecordsError("a negative header count"));
    }
    // Each turn takes at least two bytes, so a count that lies ends the loop early.
    for _ in 0..count {
        record.length_then_bytes()?;
        record.nullable()?;
    }
    Ok(())
}

fn offset(header: &BatchHeader, delta: i64) -> Result<Offset, RecordsError> {
    if !(0..header.offset_span()).contains(&delta) {
        return Err(RecordsError("an offset lies outside the batch"));
    }
    let offset = header.base_offset.0.checked_add(delta);
    offset.map(Offset).ok_or(RecordsError("an offset overflows"))
}

fn timestamp(header: &BatchHeader, delta: i64) -> Result<TimestampMs, RecordsError> {
    if header.is_log_append_time() {
        return Ok(header.max_timestamp);
    }
    let timestamp = header.base_timestamp.0.checked_add(delta);
    timestamp.map(TimestampMs).ok_or(RecordsError("a timestamp overflows"))
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

const CUT_OFF: RecordsError = RecordsError("a record is cut off");

impl<'a> Cursor<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], RecordsError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(head)
    }

    fn length_then_bytes(&mut self) -> Result<&'a [u8], RecordsError> {
        let len = usize::try_from(self.varint()?).map_err(|_| RecordsError("a negative length"))?;
        self.bytes(len)
    }

    /// Length -1 stands for null.
    fn nullable(&mut self) -> Result<(), RecordsError> {
        match self.varint()? {
            -1 => Ok(()),
            len => {
                let len = usize::try_from(len).map_err(|_| RecordsError("a negative length"))?;
                self.bytes(len).map(|_| ())
            }
        }
    }

    fn varint(&mut self) -> Result<i64, RecordsError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(RecordsError("a varint is too long"))
    }
}
