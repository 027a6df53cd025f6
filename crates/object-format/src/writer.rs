//! Footer -> bytes. Values that a batch usually shares with the batch before it are written as differences, so that a
//! plain batch takes about 25 bytes; `docs/OBJECT_FORMAT.md` has the byte tables.

use bytes::Bytes;
use types::limits::FOOTER_BYTES_MAX;

use crate::check::check;
use crate::previous::Previous;
use crate::trailer::Trailer;
use crate::wire::{put_signed, put_varint};
use crate::{Footer, FooterBatch, FooterTopic, FormatError, Kind, TRAILER_BYTES, Tags};

/// Longest trace context that [`footer_bytes_upper_bound`] counts on (a W3C `traceparent` has 55 bytes).
pub const TRACE_CONTEXT_BYTES_MAX: usize = 64;

/// Footer and trailer, to be put behind the batches' bytes.
///
/// A footer that contradicts itself is `Invalid`, one that is over the limit `TooLarge`.
pub fn encode_tail(footer: &Footer) -> Result<Bytes, FormatError> {
    check(footer, u64::MAX)?;
    let mut out = Vec::with_capacity(256 + footer.topics.len() * 48 + footer.batches.len() * 40);
    put_footer(&mut out, footer);
    if out.len() > FOOTER_BYTES_MAX {
        return Err(FormatError::TooLarge {
            bytes: out.len() as u64,
            max: FOOTER_BYTES_MAX as u64,
        });
    }
    let trailer = Trailer::of(&out);
    out.extend_from_slice(&trailer.encode());
    Ok(out.into())
}

/// No footer of this many batches and topics (names of this many bytes in sum) is longer than this, provided that its
/// only tag is a trace context of up to [`TRACE_CONTEXT_BYTES_MAX`] bytes. The trailer is not counted, as it is
/// not in `FOOTER_BYTES_MAX`.
pub fn footer_bytes_upper_bound(batches: usize, topics: usize, topic_name_bytes: usize) -> usize {
    // features 10 + 10, kind 1, three ids 48, seq 10, two counts 20, tag count 1, tag 1, its length 1
    const FIXED: usize = 102 + TRACE_CONTEXT_BYTES_MAX;
    // id 16, name length 2, tag count 1
    const PER_TOPIC: usize = 19;
    // topic 5, partition 5, gap 10, length 10, crc 4, attributes 3, count 5, delta 5, timestamps 10 + 10,
    // producer 10 + 3 + 5, base offset 10, tag count 1
    const PER_BATCH: usize = 96;
    FIXED + topics * PER_TOPIC + topic_name_bytes + batches * PER_BATCH
}

fn put_footer(out: &mut Vec<u8>, footer: &Footer) {
    put_varint(out, footer.required_features);
    put_varint(out, footer.optional_features);
    out.push(kind_byte(footer.kind));
    out.extend_from_slice(footer.cluster.0.as_bytes());
    out.extend_from_slice(footer.slot.stream.0.as_bytes());
    put_varint(out, footer.slot.seq.0);
    out.extend_from_slice(footer.content.0.as_bytes());
    put_varint(out, footer.topics.len() as u64);
    for topic in &footer.topics {
        put_topic(out, topic);
    }
    put_varint(out, footer.batches.len() as u64);
    let mut previous = Previous::default();
    for batch in &footer.batches {
        put_batch(out, batch, &previous);
        previous = Previous::of(batch);
    }
    put_tags(out, &footer.tags);
}

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Data => 0,
        Kind::Tombstone => 1,
        Kind::Merged => 2,
    }
}

fn put_topic(out: &mut Vec<u8>, topic: &FooterTopic) {
    out.extend_from_slice(topic.id.0.as_bytes());
    let name = topic.name.as_str().as_bytes();
    put_varint(out, name.len() as u64);
    out.extend_from_slice(name);
    put_tags(out, &topic.tags);
}

fn put_batch(out: &mut Vec<u8>, batch: &FooterBatch, previous: &Previous) {
    let range = batch.range;
    put_signed(out, i64::from(batch.topic) - i64::from(previous.topic));
    put_signed(out, i64::from(batch.partition.0) - i64::from(previous.partition));
    put_varint(out, range.start - previous.end);
    put_varint(out, range.len());
    out.extend_from_slice(&batch.crc.to_be_bytes());
    put_varint(out, u64::from(batch.attributes.cast_unsigned()));
    put_varint(out, u64::from(batch.record_count.cast_unsigned()));
    put_signed(out, batch.offset_span() - i64::from(batch.record_count));
    // Any two timestamps are legal, so differences may wrap; the reader wraps back.
    put_signed(out, batch.base_timestamp.0.wrapping_sub(previous.base_timestamp));
    put_signed(out, batch.max_timestamp.0.wrapping_sub(batch.base_timestamp.0));
    put_signed(out, batch.producer_id.0);
    put_signed(out, i64::from(batch.producer_epoch.0));
    put_signed(out, i64::from(batch.base_sequence.0));
    put_signed(out, batch.base_offset.0);
    put_tags(out, &batch.tags);
}

fn put_tags(out: &mut Vec<u8>, tags: &Tags) {
    put_varint(out, tags.len() as u64);
    for (tag, value) in tags {
        put_varint(out, u64::from(*tag));
        put_varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

/// Length of footer and trailer together, for a footer of `footer_bytes`.
pub(crate) fn tail_bytes(footer_bytes: u32) -> u64 {
    u64::from(footer_bytes) + TRAILER_BYTES as u64
}
