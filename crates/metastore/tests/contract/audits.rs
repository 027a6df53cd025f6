//! What an audit is shown: pages that follow each other, and rows with what their objects say.

use commit::{BatchOutcome, StreamState};
use metastore::AuditedSlot;
use object_format::{Kind, slot_key};
use types::{ByteRange, ObjectId, Offset, PartitionIndex, SlotSeq, TopicId};
use uuid::Uuid;

use crate::cluster::{batch, slot};
use crate::world::World;

pub(crate) async fn objects_come_in_pages_with_all_that_their_rows_say(world: World) {
    let topic = world.topic("t", 1).await;
    let stream = world.stream().await;
    let data = world.footer(slot(stream, 0), &[batch(&topic, 0, 3)]);
    world.commit(vec![data.clone(), world.tombstone(slot(stream, 1))]).await;
    let to = world.metastore.last_object().await.unwrap();
    let page = |after, max| world.metastore.audited_objects(after, to, max);
    let first = page(ObjectId(0), 1).await.unwrap().remove(0);
    let second = page(first.id, 9).await.unwrap().remove(0);
    assert_eq!(page(second.id, 9).await.unwrap(), []);
    assert_eq!((first.kind, second.kind), (Kind::Data, Kind::Tombstone));
    assert_eq!(first.key, slot_key(slot(stream, 0)));
    assert_eq!((first.object_bytes, first.live_rows), (data.object_bytes, 1));
    assert_eq!(first.outcomes, [BatchOutcome::Appended(Offset(0))]);
    assert_eq!(second.stream_end, Some(SlotSeq(1)));
}

pub(crate) async fn index_rows_come_from_the_offset_asked_for_with_the_ends_of_the_log(world: World) {
    let topic = world.topic("t", 2).await;
    let stream = world.stream().await;
    for seq in 0..3 {
        world
            .commit(vec![world.footer(slot(stream, seq), &[batch(&topic, 0, 2)])])
            .await;
    }
    let rows = |partition, from| {
        world
            .metastore
            .audited_rows(topic.number, PartitionIndex(partition), from, 2)
    };
    let first = rows(0, None).await.unwrap().unwrap();
    assert_eq!((first.log_start, first.end), (Offset(0), Offset(6)));
    let bases: Vec<i64> = first.rows.iter().map(|row| row.base_offset.0).collect();
    assert_eq!(bases, [0, 2, 4]);
    assert!(first.rows.iter().all(|row| row.is_backed && row.key.is_some()));
    let second = rows(0, Some(Offset(4))).await.unwrap().unwrap();
    assert_eq!(second.rows, first.rows[2..]);
    assert_eq!(rows(1, None).await.unwrap().unwrap().rows, []);
    assert_eq!(rows(2, None).await.unwrap(), None);

    let there = [
        (topic.id, PartitionIndex(0), Offset(2)),
        (topic.id, PartitionIndex(0), Offset(3)),
        (TopicId(Uuid::from_u128(1)), PartitionIndex(0), Offset(0)),
    ];
    let there = world.metastore.rows_there(&there).await.unwrap();
    let found = there[0].as_ref().unwrap();
    let range = ByteRange { start: 0, end: 16 };
    assert_eq!(
        (found.topic_name.as_str(), found.row),
        ("t", Some((Offset(4), first.rows[1].object, range)))
    );
    assert_eq!((there[1].as_ref().unwrap().row, there[2].is_none()), (None, true));
}

pub(crate) async fn partitions_streams_and_slots_are_shown_as_they_stand(world: World) {
    let topic = world.topic("t", 3).await;
    let pages = |after| world.metastore.audited_partitions(after, 2);
    let first = pages(None).await.unwrap();
    let last = first.last().unwrap();
    let second = pages(Some((last.topic, last.partition))).await.unwrap();
    let indexes: Vec<i32> = first.iter().chain(&second).map(|row| row.partition.0).collect();
    assert_eq!(
        (indexes, first[0].topic, first[0].topic_name.as_str()),
        (vec![0, 1, 2], topic.number, "t")
    );

    let (ended, open) = (world.stream().await, world.stream().await);
    world
        .commit(vec![world.tombstone(slot(ended, 0)), world.footer(slot(open, 0), &[])])
        .await;
    let streams = world.metastore.audited_streams(None, 1).await.unwrap();
    assert_eq!((streams[0].stream, streams[0].end_kind), (ended, Some(Kind::Tombstone)));
    let streams = world.metastore.audited_streams(Some(ended), 9).await.unwrap();
    assert_eq!(
        (streams[0].stream, streams[0].last_seq, streams.len()),
        (open, Some(SlotSeq(0)), 1)
    );

    let unknown = world.stream_without_row();
    let slots = [slot(open, 0), slot(open, 1), unknown];
    let known = world.metastore.audited_slots(&slots).await.unwrap();
    let stream = Some(StreamState {
        next_seq: SlotSeq(1),
        end_seq: None,
    });
    assert_eq!(known[0].stream, stream);
    assert_eq!(known[0].object.map(|(kind, _)| kind), Some(Kind::Data));
    assert_eq!(known[1], AuditedSlot { stream, object: None });
    assert_eq!(
        known[2],
        AuditedSlot {
            stream: None,
            object: None
        }
    );
}

impl World {
    fn stream_without_row(&self) -> types::Slot {
        slot(types::StreamId(Uuid::from_u128(1)), 0)
    }
}
