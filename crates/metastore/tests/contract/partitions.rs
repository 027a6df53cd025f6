//! Partitions: where their logs start, and how large they are.

use std::collections::BTreeMap;

use metastore::{LogStartMove, NewLogStart, TopicInfo};
use types::{Offset, PartitionIndex};

use crate::cluster::{batch, slot};
use crate::world::World;

const NONE_SUCH: PartitionIndex = PartitionIndex(9);

async fn move_start(
    world: &World,
    topic: &TopicInfo,
    partition: PartitionIndex,
    to: NewLogStart,
) -> Option<LogStartMove> {
    let key = (topic.number, partition);
    let moved = world
        .metastore
        .move_log_starts(&BTreeMap::from([(key, to)]))
        .await
        .unwrap();
    moved.get(&key).copied()
}

/// A topic with ten records in partition 0, in two index rows.
async fn ten_records(world: &World) -> TopicInfo {
    let topic = world.topic("t", 2).await;
    let stream = world.stream().await;
    for seq in 0..2 {
        world.outcomes(slot(stream, seq), &[batch(&topic, 0, 5)]).await;
    }
    topic
}

pub(crate) async fn a_log_starts_later_and_never_earlier_again(world: World) {
    let topic = ten_records(&world).await;
    let partition = PartitionIndex(0);
    for (to, start) in [
        (NewLogStart::At(Offset(0)), 0),
        (NewLogStart::At(Offset(7)), 7),
        (NewLogStart::At(Offset(3)), 7),
        (NewLogStart::End, 10),
    ] {
        let moved = move_start(&world, &topic, partition, to).await;
        assert_eq!(moved, Some(LogStartMove::StartsAt(Offset(start))), "{to:?}");
        let plan = world.plan(&topic, 0).await;
        assert_eq!((plan.log_start, plan.end), (Offset(start), Offset(10)));
        assert!(start == 0 || plan.ranges.is_empty(), "offset 0 is not read any more");
    }
}

pub(crate) async fn only_an_offset_of_the_log_can_be_its_start(world: World) {
    let topic = ten_records(&world).await;
    for wrong in [-2, 11, i64::MAX] {
        let moved = move_start(&world, &topic, PartitionIndex(0), NewLogStart::At(Offset(wrong))).await;
        assert_eq!(moved, Some(LogStartMove::OutOfRange), "{wrong}");
    }
    assert_eq!(move_start(&world, &topic, NONE_SUCH, NewLogStart::End).await, None);
    let empty = move_start(&world, &topic, PartitionIndex(1), NewLogStart::End).await;
    assert_eq!(empty, Some(LogStartMove::StartsAt(Offset(0))));
    assert_eq!(world.plan(&topic, 0).await.log_start, Offset(0));
}

pub(crate) async fn bytes_are_those_of_the_index_rows_whatever_became_of_the_batches(world: World) {
    let topic = ten_records(&world).await;
    let stream = world.stream().await;
    let refused = batch(&topic, 0, 3).of(7, 0, 9);
    world
        .outcomes(slot(stream, 0), &[batch(&topic, 0, 1), refused, batch(&topic, 1, 2)])
        .await;
    move_start(&world, &topic, PartitionIndex(0), NewLogStart::At(Offset(7))).await;
    let partitions = [PartitionIndex(0), PartitionIndex(1), NONE_SUCH];
    let keys = partitions.map(|partition| (topic.number, partition));
    let bytes = world.metastore.log_bytes(&keys).await.unwrap();
    // Eleven records of eight bytes, and two.
    assert_eq!(bytes, BTreeMap::from([(keys[0], 88), (keys[1], 16)]));
    let empty = world.topic("empty", 3).await;
    let by_topic = world.metastore.topic_bytes().await.unwrap();
    assert_eq!(by_topic, BTreeMap::from([(topic.number, 104), (empty.number, 0)]));
}
