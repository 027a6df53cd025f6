//! Committed offsets of consumer groups.

use std::collections::BTreeMap;

use crate::cluster::{batch, slot};
use crate::world::{World, name, topic};
use metastore::{CommittedOffset, GroupFence, GroupKind, Metastore, NewLogStart, TopicPartition};
use types::{NodeId, Offset, PartitionIndex};

pub(crate) fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: name(topic),
        partition: PartitionIndex(partition),
    }
}

pub(crate) fn committed(offset: i64) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(offset),
        leader_epoch: -1,
        metadata: format!("\0at {offset}"),
    }
}

/// Takes a group for whoever commits next.
async fn fence(metastore: &Metastore, group: &str) -> GroupFence {
    let taken = metastore.take_group(group, NodeId(1), Some(GroupKind::Classic)).await;
    GroupFence {
        epoch: taken.unwrap().expect("it is created").epoch,
        generation: None,
    }
}

pub(crate) async fn offsets(metastore: &Metastore, group: &str) -> BTreeMap<TopicPartition, CommittedOffset> {
    let rows = metastore.group_offsets(group, None).await.expect("it answers");
    rows.into_iter().map(|row| (row.partition, row.committed)).collect()
}

pub(crate) async fn a_later_commit_replaces_an_earlier_one_and_groups_are_apart(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 2).await;
    let first = BTreeMap::from([(at("t", 0), committed(5)), (at("t", 1), committed(6))]);
    let (g, other) = (fence(&metastore, "g").await, fence(&metastore, "other").await);
    metastore.commit_group_offsets("g", g, &first).await.unwrap();
    metastore
        .commit_group_offsets("other", other, &BTreeMap::from([(at("t", 0), committed(1))]))
        .await
        .unwrap();
    metastore
        .commit_group_offsets("g", g, &BTreeMap::from([(at("t", 0), committed(9))]))
        .await
        .unwrap();
    let expected = BTreeMap::from([(at("t", 0), committed(9)), (at("t", 1), committed(6))]);
    assert_eq!(offsets(&metastore, "g").await, expected);
    assert_eq!(metastore.group_offsets("g", Some(&[name("u")])).await.unwrap(), []);
}

pub(crate) async fn partitions_that_do_not_exist_are_left_out_without_failing_their_neighbours(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 1).await;
    let wanted = BTreeMap::from([
        (at("t", 0), committed(1)),
        (at("t", 1), committed(2)),
        (at("u", 0), committed(3)),
    ]);
    let g = fence(&metastore, "g").await;
    let known = metastore.commit_group_offsets("g", g, &wanted).await.unwrap();
    let nowhere = BTreeMap::from([(at("u", 0), committed(3))]);
    assert!(
        metastore
            .commit_group_offsets("g", g, &nowhere)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [at("t", 0)]);
    assert_eq!(offsets(&metastore, "g").await.len(), 1);
}

pub(crate) async fn offsets_of_a_deleted_topic_do_not_come_back_with_its_name(world: World) {
    let metastore = world.metastore.clone();
    let old = topic(&metastore, "t", 1).await;
    let g = fence(&metastore, "g").await;
    metastore
        .commit_group_offsets("g", g, &BTreeMap::from([(at("t", 0), committed(7))]))
        .await
        .unwrap();
    metastore.delete_topic(old.id).await.unwrap();
    topic(&metastore, "t", 1).await;
    assert!(offsets(&metastore, "g").await.is_empty());
}

pub(crate) async fn lag_is_what_groups_have_not_committed_of_what_can_be_read(world: World) {
    let metastore = world.metastore.clone();
    let (read, deleted) = (topic(&metastore, "t", 2).await, topic(&metastore, "u", 1).await);
    let stream = world.stream().await;
    let batches = [batch(&read, 0, 10), batch(&read, 1, 5), batch(&deleted, 0, 7)];
    world.commit(vec![world.footer(slot(stream, 0), &batches)]).await;
    let (g, other) = (fence(&metastore, "g").await, fence(&metastore, "other").await);
    let behind = BTreeMap::from([
        (at("t", 0), committed(4)),
        (at("t", 1), committed(5)),
        (at("u", 0), committed(0)),
    ]);
    metastore.commit_group_offsets("g", g, &behind).await.unwrap();
    let ahead = BTreeMap::from([(at("t", 0), committed(8))]);
    metastore.commit_group_offsets("other", other, &ahead).await.unwrap();
    let lag = async || {
        let backlog = metastore.backlog().await.unwrap();
        (backlog.lag_max, backlog.lag_sum)
    };
    assert_eq!(lag().await, (6 + 7, 6 + 7 + 2));

    metastore.delete_topic(deleted.id).await.unwrap();
    let moved = BTreeMap::from([((read.number, PartitionIndex(0)), NewLogStart::At(Offset(7)))]);
    metastore.move_log_starts(&moved).await.unwrap();
    assert_eq!(lag().await, (3, 3 + 2));
}
