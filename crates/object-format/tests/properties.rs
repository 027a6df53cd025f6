//! What holds for any footer.

#[path = "../fuzz/checks.rs"]
#[expect(dead_code, reason = "only the check of footers is run here")]
mod checks;
mod samples;

use std::collections::BTreeMap;

use bytes::Bytes;
use object_format::{
    Footer, FooterBatch, FooterTopic, FormatError, Kind, TRACE_CONTEXT_BYTES_MAX, TRAILER_BYTES, Tags, decode_footer,
    decode_tail, encode_tail, footer_bytes_upper_bound,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use types::limits::FOOTER_BYTES_MAX;
use types::{
    ByteRange, ClusterId, ContentId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, SlotSeq,
    StreamId, TimestampMs, TopicId, TopicName,
};
use uuid::Uuid;

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn tags() -> impl Strategy<Value = Tags> {
    let value = vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    prop_oneof![3 => Just(BTreeMap::new()), 1 => btree_map(any::<u32>(), value, 0..4)]
}

fn topic() -> impl Strategy<Value = FooterTopic> {
    ("[a-z0-9._-]{3,249}", uuid(), tags()).prop_map(|(name, id, tags)| FooterTopic {
        id: TopicId(id),
        name: TopicName::new(&name).expect("a legal name"),
        tags,
    })
}

/// A batch without its range: gap and length stand in for it.
fn batch() -> impl Strategy<Value = (u64, u64, FooterBatch)> {
    let place = (any::<u32>(), 0..=i32::MAX, 0..1u64 << 50, 1..1u64 << 50);
    let counts = (1..=i32::MAX).prop_flat_map(|count| (Just(count), count - 1..=i32::MAX));
    let times = (any::<i64>(), any::<i64>());
    let producer = (any::<i64>(), any::<i16>(), any::<i32>());
    let rest = (any::<u32>(), any::<i16>(), 0..=i64::MAX - (1 << 31), tags());
    (place, counts, times, producer, rest).prop_map(|(place, counts, times, producer, rest)| {
        let batch = FooterBatch {
            topic: place.0,
            partition: PartitionIndex(place.1),
            range: ByteRange { start: 0, end: 0 },
            crc: rest.0,
            attributes: rest.1,
            record_count: counts.0,
            last_offset_delta: counts.1,
            base_timestamp: TimestampMs(times.0),
            max_timestamp: TimestampMs(times.1),
            producer_id: ProducerId(producer.0),
            producer_epoch: ProducerEpoch(producer.1),
            base_sequence: Sequence(producer.2),
            base_offset: Offset(rest.2),
            tags: rest.3,
        };
        (place.2, place.3, batch)
    })
}

fn footer() -> impl Strategy<Value = Footer> {
    let ids = (uuid(), uuid(), any::<u64>(), uuid(), any::<u64>());
    let kind = prop_oneof![Just(Kind::Data), Just(Kind::Merged), Just(Kind::Tombstone)];
    (kind, ids, vec(topic(), 1..5), vec(batch(), 0..12), tags()).prop_map(|(kind, ids, topics, batches, tags)| {
        let mut footer = Footer {
            kind,
            required_features: 0,
            optional_features: ids.4,
            cluster: ClusterId(ids.0),
            slot: Slot {
                stream: StreamId(ids.1),
                seq: SlotSeq(ids.2),
            },
            content: ContentId(ids.3),
            batches: lay_out(batches, kind, topics.len() as u32),
            topics,
            tags,
        };
        if kind == Kind::Tombstone {
            footer.topics.clear();
            footer.batches.clear();
        }
        footer
    })
}

fn lay_out(batches: Vec<(u64, u64, FooterBatch)>, kind: Kind, topics: u32) -> Vec<FooterBatch> {
    let mut end = 0;
    let place = |(gap, len, mut batch): (u64, u64, FooterBatch)| {
        batch.range = ByteRange {
            start: end + gap,
            end: end + gap + len,
        };
        end = batch.range.end;
        batch.topic %= topics;
        if kind == Kind::Data {
            batch.base_offset = Offset::UNKNOWN;
        }
        batch
    };
    batches.into_iter().map(place).collect()
}

fn without_tags(mut footer: Footer) -> Footer {
    footer.tags = Tags::from([(0, Bytes::from(vec![b'x'; TRACE_CONTEXT_BYTES_MAX]))]);
    footer.topics.iter_mut().for_each(|topic| topic.tags.clear());
    footer.batches.iter_mut().for_each(|batch| batch.tags.clear());
    footer
}

fn upper_bound(footer: &Footer) -> usize {
    let names = footer.topics.iter().map(|topic| topic.name.as_str().len()).sum();
    footer_bytes_upper_bound(footer.batches.len(), footer.topics.len(), names)
}

proptest! {
    #[test]
    fn a_footer_comes_back_as_it_was(footer in footer()) {
        let tail = encode_tail(&footer).unwrap();
        prop_assert_eq!(decode_footer(&tail, u64::MAX), Ok(footer.clone()));
        let body_bytes = samples::body_bytes(&footer);
        let object_bytes = body_bytes + tail.len() as u64;
        prop_assert_eq!(decode_tail(&tail, object_bytes), Ok(footer.clone()));
        let with_body = [&[7; 100][..], &tail].concat();
        prop_assert_eq!(decode_tail(&with_body, object_bytes.max(100 + tail.len() as u64)), Ok(footer));
    }

    #[test]
    fn no_footer_is_longer_than_the_upper_bound(footer in footer()) {
        let footer = without_tags(footer);
        let footer_bytes = encode_tail(&footer).unwrap().len() - TRAILER_BYTES;
        prop_assert!(footer_bytes <= upper_bound(&footer), "{} > {}", footer_bytes, upper_bound(&footer));
    }

    /// Damage that a checksum would hide behind: the footer itself must hold out.
    #[test]
    fn a_spoiled_footer_is_judged_without_panic(
        footer in footer(),
        spoils in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let tail = encode_tail(&footer).unwrap();
        let mut bytes = tail[..tail.len() - TRAILER_BYTES].to_vec();
        for (at, byte) in spoils {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        checks::footer(&bytes);
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in vec(any::<u8>(), 0..200), object_bytes: u64) {
        prop_assert!(decode_tail(&bytes, object_bytes).is_err());
        prop_assert!(decode_footer(&bytes, object_bytes).is_err());
    }
}

/// Every field at the value that takes the most bytes.
fn longest_batch(at: u64) -> FooterBatch {
    let end_first = u64::MAX / 2;
    FooterBatch {
        range: if at == 0 {
            ByteRange {
                start: 0,
                end: end_first,
            }
        } else {
            ByteRange {
                start: u64::MAX - 1,
                end: u64::MAX,
            }
        },
        attributes: -1,
        record_count: i32::MAX,
        last_offset_delta: i32::MAX,
        base_timestamp: TimestampMs(i64::MIN),
        max_timestamp: TimestampMs(0),
        producer_id: ProducerId(i64::MAX),
        producer_epoch: ProducerEpoch(i16::MIN),
        base_sequence: Sequence(i32::MIN),
        base_offset: Offset(i64::MAX - (1 << 31)),
        ..samples::batch(0, i32::MAX, 0..1)
    }
}

#[test]
fn the_upper_bound_holds_at_the_extremes() {
    let footer = Footer {
        optional_features: u64::MAX,
        batches: vec![longest_batch(0), longest_batch(1)],
        ..without_tags(samples::merged())
    };
    let footer_bytes = encode_tail(&footer).unwrap().len() - TRAILER_BYTES;
    let bound = upper_bound(&footer);
    assert!(
        footer_bytes <= bound && footer_bytes * 10 > bound * 7,
        "{footer_bytes} of {bound}"
    );
}

#[test]
fn a_plain_batch_takes_at_most_fifty_bytes() {
    let place = |n: u64| samples::batch(0, i32::try_from(n % 100).unwrap(), n * 65_536..(n + 1) * 65_536);
    let with = |count| Footer {
        batches: (0..count).map(place).collect(),
        ..samples::data()
    };
    let footer_bytes = |count| encode_tail(&with(count)).unwrap().len();
    let per_batch = (footer_bytes(1000) - footer_bytes(0)) / 1000;
    assert!(per_batch <= 50, "{per_batch} bytes per batch");
}

#[test]
fn a_footer_over_the_limit_is_not_written() {
    let mut footer = samples::tombstone();
    footer.tags.insert(1, Bytes::from(vec![0; FOOTER_BYTES_MAX]));
    assert!(matches!(encode_tail(&footer), Err(FormatError::TooLarge { .. })));
    let room = FOOTER_BYTES_MAX - (encode_tail(&samples::tombstone()).unwrap().len() - TRAILER_BYTES);
    footer.tags.insert(1, Bytes::from(vec![0; room - 4]));
    let tail = encode_tail(&footer).unwrap();
    assert_eq!(tail.len(), object_format::TAIL_BYTES_MAX);
    assert_eq!(decode_footer(&tail, 0), Ok(footer));
}
