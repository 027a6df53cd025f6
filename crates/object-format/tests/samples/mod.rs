//! Footers to start from; the golden files hold `data`, `tombstone` and `merged`.

use bytes::Bytes;
use object_format::{Footer, FooterBatch, FooterTopic, Kind, Tags};
use types::{
    ByteRange, ClusterId, ContentId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, SlotSeq,
    StreamId, TimestampMs, TopicId, TopicName,
};
use uuid::Uuid;

/// Where the body of a sample ends.
pub(crate) fn body_bytes(footer: &Footer) -> u64 {
    footer.batches.last().map_or(0, |batch| batch.range.end)
}

/// Two topics, three batches, one of an idempotent producer; a trace context.
pub(crate) fn data() -> Footer {
    let mut idempotent = batch(1, 7, 160..230);
    idempotent.attributes = 4;
    idempotent.record_count = 500;
    idempotent.last_offset_delta = 499;
    idempotent.producer_id = ProducerId(4711);
    idempotent.producer_epoch = ProducerEpoch(3);
    idempotent.base_sequence = Sequence(1_000_000);
    Footer {
        optional_features: 0b10,
        topics: vec![topic(1, "orders"), topic(2, "clicks.v2_eu-west")],
        batches: vec![batch(0, 0, 0..80), batch(0, 3, 80..160), idempotent],
        tags: Tags::from([(
            0,
            Bytes::from_static(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        )]),
        ..tombstone_of(Kind::Data)
    }
}

/// The end of a stream.
pub(crate) fn tombstone() -> Footer {
    tombstone_of(Kind::Tombstone)
}

/// A merged object, with a gap between its batches and tags that no version 1 reader knows on all three levels.
pub(crate) fn merged() -> Footer {
    let mut footer = data();
    footer.kind = Kind::Merged;
    footer.tags.insert(9, Bytes::from_static(b"later"));
    footer.topics[1].tags.insert(u32::MAX, Bytes::new());
    for (at, batch) in footer.batches.iter_mut().enumerate() {
        batch.base_offset = Offset(1 << (20 * at));
        batch.range.start += at as u64;
        batch.tags.insert(5, Bytes::from(vec![at as u8; at]));
    }
    footer.batches[2].last_offset_delta = 600;
    footer
}

fn tombstone_of(kind: Kind) -> Footer {
    Footer {
        kind,
        required_features: 0,
        optional_features: 0,
        cluster: ClusterId(Uuid::from_u128(0xc1c1_c1c1_c1c1_41c1_81c1_c1c1_c1c1_c1c1)),
        slot: Slot {
            stream: StreamId(Uuid::from_u128(0x0190_b5f2_7c3a_7def_8123_4567_89ab_cdef)),
            seq: SlotSeq(42),
        },
        content: ContentId(Uuid::from_u128(0xc0c0_c0c0_c0c0_40c0_80c0_c0c0_c0c0_c0c0)),
        topics: Vec::new(),
        batches: Vec::new(),
        tags: Tags::new(),
    }
}

pub(crate) fn topic(id: u128, name: &str) -> FooterTopic {
    FooterTopic {
        id: TopicId(Uuid::from_u128(id)),
        name: TopicName::new(name).expect("a legal name"),
        tags: Tags::new(),
    }
}

/// A plain batch of ten records.
pub(crate) fn batch(topic: u32, partition: i32, range: std::ops::Range<u64>) -> FooterBatch {
    let base_timestamp = 1_700_000_000_000 + i64::from(partition);
    FooterBatch {
        topic,
        partition: PartitionIndex(partition),
        range: ByteRange::new(range.start, range.end).expect("forward"),
        crc: 0xdead_beef,
        attributes: 0,
        record_count: 10,
        last_offset_delta: 9,
        base_timestamp: TimestampMs(base_timestamp),
        max_timestamp: TimestampMs(base_timestamp + 12),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch(-1),
        base_sequence: Sequence(-1),
        base_offset: Offset::UNKNOWN,
        tags: Tags::new(),
    }
}
