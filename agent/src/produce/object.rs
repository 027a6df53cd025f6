//! Sealing: batches become one object, grouped by partition, each copied once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use commit::SlotFooter;
use object_format::{Footer, FooterBatch, FooterTopic, Kind, TRACE_CONTEXT_TAG, Tags, encode_tail};
use telemetry::TraceContext;
use types::{ByteRange, ClusterId, ContentId, Offset, Slot, TopicId};

use crate::produce::buffer::Entry;

/// An object ready to be PUT.
#[derive(Clone, Debug)]
pub struct SealedObject {
    /// Its footer, as the commit takes it.
    pub footer: SlotFooter,
    /// All its bytes.
    pub bytes: Bytes,
}

/// Lays `entries` out for `slot`. Afterwards the entries are in the order of the footer and their bytes are slices of
/// the object, so that the buffers they came in can go. `trace` is what the commit is a part of.
pub fn seal(
    entries: &mut [Entry],
    cluster: ClusterId,
    slot: Slot,
    content: ContentId,
    trace: Option<TraceContext>,
) -> SealedObject {
    // Stable: within a partition the order of arrival stays.
    entries.sort_by_key(|entry| (entry.topic, entry.partition));
    let body_bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    let mut footer = footer(entries, cluster, slot, content);
    if let Some(trace) = trace {
        footer.tags.insert(TRACE_CONTEXT_TAG, trace.to_traceparent().into());
    }
    let tail = encode_tail(&footer).expect("the buffer takes no more batches than a footer has room for");

    let mut object = BytesMut::with_capacity(body_bytes + tail.len());
    for entry in entries.iter() {
        object.extend_from_slice(&entry.bytes);
    }
    object.extend_from_slice(&tail);
    let bytes = object.freeze();
    for (entry, batch) in entries.iter_mut().zip(&footer.batches) {
        entry.bytes = bytes.slice(to_usize(batch.range.start)..to_usize(batch.range.end));
    }
    // The tail is not a slice of the object: it is kept until the commit, the object only until it is in S3.
    SealedObject {
        footer: SlotFooter {
            footer: Arc::new(footer),
            tail,
            object_bytes: bytes.len() as u64,
        },
        bytes,
    }
}

/// The object that says "this stream ends here".
pub fn tombstone(cluster: ClusterId, slot: Slot, content: ContentId) -> SealedObject {
    let footer = Footer {
        kind: Kind::Tombstone,
        ..footer(&[], cluster, slot, content)
    };
    let bytes = encode_tail(&footer).expect("a footer without batches is small");
    let object_bytes = bytes.len() as u64;
    SealedObject {
        footer: SlotFooter {
            footer: Arc::new(footer),
            tail: bytes.clone(),
            object_bytes,
        },
        bytes,
    }
}

fn footer(entries: &[Entry], cluster: ClusterId, slot: Slot, content: ContentId) -> Footer {
    let mut topics: Vec<FooterTopic> = Vec::new();
    let mut topic_indexes: BTreeMap<TopicId, u32> = BTreeMap::new();
    let mut batches = Vec::with_capacity(entries.len());
    let mut start = 0;
    for entry in entries {
        let topic = *topic_indexes.entry(entry.topic).or_insert_with(|| {
            topics.push(FooterTopic {
                id: entry.topic,
                name: entry.topic_name.clone(),
                tags: Tags::new(),
            });
            u32::try_from(topics.len() - 1).expect("a footer has room for fewer topics")
        });
        let end = start + entry.bytes.len() as u64;
        batches.push(footer_batch(entry, topic, ByteRange { start, end }));
        start = end;
    }
    Footer {
        kind: Kind::Data,
        required_features: 0,
        optional_features: 0,
        cluster,
        slot,
        content,
        topics,
        batches,
        tags: Tags::new(),
    }
}

fn footer_batch(entry: &Entry, topic: u32, range: ByteRange) -> FooterBatch {
    let header = &entry.header;
    FooterBatch {
        topic,
        partition: entry.partition,
        range,
        crc: header.crc,
        attributes: header.attributes,
        record_count: header.record_count,
        last_offset_delta: header.last_offset_delta,
        base_timestamp: header.base_timestamp,
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        base_offset: Offset::UNKNOWN,
        tags: Tags::new(),
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("the object is in memory")
}

#[cfg(test)]
mod tests {
    use object_format::decode_tail;
    use types::{SlotSeq, StreamId};
    use uuid::Uuid;

    use super::*;
    use crate::produce::buffer::tests::entry;

    #[test]
    fn batches_are_grouped_by_partition_and_found_by_their_range() {
        let mut entries = vec![entry(2, 1, 30), entry(1, 0, 10), entry(2, 0, 20), entry(2, 1, 40)];
        let slot = Slot {
            stream: StreamId(Uuid::from_u128(5)),
            seq: SlotSeq(3),
        };
        let cluster = ClusterId(Uuid::from_u128(6));
        let object = seal(&mut entries, cluster, slot, ContentId(Uuid::from_u128(7)), None);

        let footer = decode_tail(&object.bytes, object.bytes.len() as u64).unwrap();
        assert_eq!(footer, *object.footer.footer);
        let order: Vec<_> = footer
            .batches
            .iter()
            .map(|b| (b.topic, b.partition.0, b.range.len()))
            .collect();
        assert_eq!(order, [(0, 0, 10), (1, 0, 20), (1, 1, 30), (1, 1, 40)]);
        for (entry, batch) in entries.iter().zip(&footer.batches) {
            assert_eq!(
                entry.bytes,
                object.bytes.slice(batch.range.start as usize..batch.range.end as usize)
            );
            assert!(entry.bytes.iter().all(|byte| i32::from(*byte) == entry.partition.0));
        }
    }

    #[test]
    fn an_object_tells_of_its_trace_only_if_it_has_one() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let slot = Slot {
            stream: StreamId(Uuid::from_u128(5)),
            seq: SlotSeq(0),
        };
        let tags = |trace| {
            let (cluster, content) = (ClusterId(Uuid::nil()), ContentId(Uuid::nil()));
            let object = seal(&mut [entry(1, 0, 10)], cluster, slot, content, trace);
            decode_tail(&object.bytes, object.bytes.len() as u64).unwrap().tags
        };
        assert_eq!(tags(None), Tags::new());
        let traced = tags(TraceContext::parse(text.as_bytes()));
        assert_eq!(traced, Tags::from([(TRACE_CONTEXT_TAG, Bytes::from(text))]));
    }

    #[test]
    fn a_tombstone_is_a_whole_object() {
        let slot = Slot {
            stream: StreamId(Uuid::from_u128(5)),
            seq: SlotSeq(0),
        };
        let object = tombstone(ClusterId(Uuid::nil()), slot, ContentId(Uuid::nil()));
        let footer = decode_tail(&object.bytes, object.bytes.len() as u64).unwrap();
        assert_eq!((footer.kind, footer.slot), (Kind::Tombstone, slot));
    }
}
