//! Bytes -> footer. Nothing is taken on trust: the trailer is checked before its length is used, the footer's checksum
//! before a field is read, counts before they size an allocation, and the whole against the object's size.

use bytes::Bytes;
use types::limits::FOOTER_BYTES_MAX;
use types::{
    ByteRange, ClusterId, ContentId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, SlotSeq,
    StreamId, TimestampMs, TopicId, TopicName,
};
use uuid::Uuid;

use crate::check::check;
use crate::previous::Previous;
use crate::trailer::{Trailer, verify_crc};
use crate::wire::{Cursor, OVERFLOW};
use crate::writer::tail_bytes;
use crate::{Footer, FooterBatch, FooterTopic, FormatError, KNOWN_REQUIRED_FEATURES, Kind, TRAILER_BYTES, Tags};

/// Fewest bytes of a topic: id, length of a name, one letter, tag count.
const TOPIC_BYTES_MIN: usize = 19;
/// Fewest bytes of a batch: fourteen one-byte numbers and the CRC.
const BATCH_BYTES_MIN: usize = 18;
/// Fewest bytes of a tagged field: tag and length.
const TAG_BYTES_MIN: usize = 2;

/// Decodes the footer from the last bytes of an object of `object_bytes` bytes.
///
/// `tail` is what a suffix-range GET of up to `TAIL_BYTES_MAX` bytes gives; bytes of the body in front of the footer are
/// skipped.
pub fn decode_tail(tail: &[u8], object_bytes: u64) -> Result<Footer, FormatError> {
    if object_bytes < tail.len() as u64 {
        return Err(FormatError::Invalid("the object is smaller than its tail"));
    }
    let (footer, trailer) = split(tail)?;
    let body_bytes = object_bytes - tail_bytes(trailer.footer_bytes);
    decode(footer, trailer, body_bytes)
}

/// Decodes footer + trailer as `encode_tail` returned them (stored beside a pending slot, or sent in an invocation);
/// the ranges are checked against the start of the tail, which `body_bytes` names.
pub fn decode_footer(tail: &[u8], body_bytes: u64) -> Result<Footer, FormatError> {
    let (footer, trailer) = split(tail)?;
    if tail_bytes(trailer.footer_bytes) != tail.len() as u64 {
        return Err(FormatError::Invalid("bytes lie before the footer"));
    }
    decode(footer, trailer, body_bytes)
}

/// Footer and trailer at the end of `bytes`, as `encode_tail` returned them; no more than their lengths is checked.
pub fn tail_of(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let (footer, _) = split(bytes)?;
    Ok(&bytes[bytes.len() - footer.len() - TRAILER_BYTES..])
}

/// The footer's bytes, and the trailer that was read to find them.
fn split(tail: &[u8]) -> Result<(&[u8], Trailer), FormatError> {
    let truncated = |need| FormatError::Truncated {
        need,
        have: tail.len() as u64,
    };
    let (before, trailer) = tail
        .split_last_chunk::<TRAILER_BYTES>()
        .ok_or_else(|| truncated(TRAILER_BYTES as u64))?;
    let trailer = Trailer::decode(trailer)?;
    let footer_bytes = trailer.footer_bytes as usize;
    if footer_bytes > FOOTER_BYTES_MAX {
        return Err(FormatError::TooLarge {
            bytes: u64::from(trailer.footer_bytes),
            max: FOOTER_BYTES_MAX as u64,
        });
    }
    let start = before.len().checked_sub(footer_bytes);
    let start = start.ok_or_else(|| truncated(tail_bytes(trailer.footer_bytes)))?;
    Ok((&before[start..], trailer))
}

fn decode(bytes: &[u8], trailer: Trailer, body_bytes: u64) -> Result<Footer, FormatError> {
    verify_crc(bytes, trailer.footer_crc)?;
    let mut cursor = Cursor::new(bytes);
    let footer = footer(&mut cursor)?;
    if !cursor.is_empty() {
        return Err(FormatError::Invalid("bytes follow the footer's last field"));
    }
    check(&footer, body_bytes)?;
    Ok(footer)
}

fn footer(cursor: &mut Cursor<'_>) -> Result<Footer, FormatError> {
    // The features come first: an unknown one may change everything after them.
    let required_features = cursor.varint()?;
    let unknown = required_features & !KNOWN_REQUIRED_FEATURES;
    if unknown != 0 {
        return Err(FormatError::Newer(format!("required features {unknown:#x}")));
    }
    Ok(Footer {
        required_features,
        optional_features: cursor.varint()?,
        kind: kind(cursor)?,
        cluster: ClusterId(uuid(cursor)?),
        slot: Slot {
            stream: StreamId(uuid(cursor)?),
            seq: SlotSeq(cursor.varint()?),
        },
        content: ContentId(uuid(cursor)?),
        topics: topics(cursor)?,
        batches: batches(cursor)?,
        tags: tags(cursor)?,
    })
}

fn kind(cursor: &mut Cursor<'_>) -> Result<Kind, FormatError> {
    match cursor.array()? {
        [0] => Ok(Kind::Data),
        [1] => Ok(Kind::Tombstone),
        [2] => Ok(Kind::Merged),
        [other] => Err(FormatError::Newer(format!("object kind {other}"))),
    }
}

fn uuid(cursor: &mut Cursor<'_>) -> Result<Uuid, FormatError> {
    cursor.array().map(Uuid::from_bytes)
}

fn topics(cursor: &mut Cursor<'_>) -> Result<Vec<FooterTopic>, FormatError> {
    let count = cursor.count(TOPIC_BYTES_MIN)?;
    (0..count).map(|_| topic(cursor)).collect()
}

fn topic(cursor: &mut Cursor<'_>) -> Result<FooterTopic, FormatError> {
    Ok(FooterTopic {
        id: TopicId(uuid(cursor)?),
        name: topic_name(cursor)?,
        tags: tags(cursor)?,
    })
}

fn topic_name(cursor: &mut Cursor<'_>) -> Result<TopicName, FormatError> {
    let name_bytes = cursor.varint()?;
    std::str::from_utf8(cursor.bytes(name_bytes)?)
        .ok()
        .and_then(|name| TopicName::new(name).ok())
        .ok_or(FormatError::Invalid("a topic's name is not a legal one"))
}

fn batches(cursor: &mut Cursor<'_>) -> Result<Vec<FooterBatch>, FormatError> {
    let count = cursor.count(BATCH_BYTES_MIN)?;
    let mut previous = Previous::default();
    let mut batches = Vec::with_capacity(count);
    for _ in 0..count {
        let batch = batch(cursor, &previous)?;
        previous = Previous::of(&batch);
        batches.push(batch);
    }
    Ok(batches)
}

fn batch(cursor: &mut Cursor<'_>, previous: &Previous) -> Result<FooterBatch, FormatError> {
    let topic = from_delta(cursor, i64::from(previous.topic))?;
    let partition = from_delta(cursor, i64::from(previous.partition))?;
    let range = range(cursor, previous.end)?;
    let crc = u32::from_be_bytes(cursor.array()?);
    let attributes = cursor.varint_as::<u16>()?.cast_signed();
    let record_count: i32 = cursor.varint_as()?;
    let last_offset_delta = from_delta(cursor, i64::from(record_count) - 1)?;
    let base_timestamp = previous.base_timestamp.wrapping_add(cursor.signed()?);
    let max_timestamp = base_timestamp.wrapping_add(cursor.signed()?);
    Ok(FooterBatch {
        topic,
        partition: PartitionIndex(partition),
        range,
        crc,
        attributes,
        record_count,
        last_offset_delta,
        base_timestamp: TimestampMs(base_timestamp),
        max_timestamp: TimestampMs(max_timestamp),
        producer_id: ProducerId(cursor.signed()?),
        producer_epoch: ProducerEpoch(cursor.signed_as()?),
        base_sequence: Sequence(cursor.signed_as()?),
        base_offset: Offset(cursor.signed()?),
        tags: tags(cursor)?,
    })
}

fn from_delta<T: TryFrom<i64>>(cursor: &mut Cursor<'_>, base: i64) -> Result<T, FormatError> {
    let value = base.checked_add(cursor.signed()?).ok_or(OVERFLOW)?;
    T::try_from(value).map_err(|_| OVERFLOW)
}

fn range(cursor: &mut Cursor<'_>, previous_end: u64) -> Result<ByteRange, FormatError> {
    let start = previous_end.checked_add(cursor.varint()?).ok_or(OVERFLOW)?;
    let end = start.checked_add(cursor.varint()?).ok_or(OVERFLOW)?;
    Ok(ByteRange { start, end })
}

fn tags(cursor: &mut Cursor<'_>) -> Result<Tags, FormatError> {
    let count = cursor.count(TAG_BYTES_MIN)?;
    let mut tags = Tags::new();
    for _ in 0..count {
        let tag: u32 = cursor.varint_as()?;
        if tags.last_key_value().is_some_and(|(last, _)| *last >= tag) {
            return Err(FormatError::Invalid("tagged fields are not in ascending order"));
        }
        let value_bytes = cursor.varint()?;
        tags.insert(tag, Bytes::copy_from_slice(cursor.bytes(value_bytes)?));
    }
    Ok(tags)
}
