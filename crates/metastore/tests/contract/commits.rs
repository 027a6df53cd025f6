//! The commit: gate, pending slots, ends of streams, deleted topics.

use commit::BatchOutcome::{Appended, TopicDeleted};
use commit::SlotFooter;
use commit::invoke::SlotResult;
use metastore::CommitError;
use object_format::Kind;
use types::{ClusterId, NodeId, Offset, PartitionIndex, Slot, SlotSeq, StreamId};
use uuid::Uuid;

use crate::cluster::{TestBatch, batch, records_of, seal, slot};
use crate::world::World;

pub(crate) async fn a_slot_is_committed_once_and_told_the_same_every_time(cluster: World) {
    let topic = cluster.topic("t", 2).await;
    let first = slot(cluster.stream().await, 0);
    let batches = [batch(&topic, 0, 3), batch(&topic, 0, 2), batch(&topic, 1, 4)];
    let footer = cluster.put(first, &batches).await;
    let outcomes = vec![Appended(Offset(0)), Appended(Offset(3)), Appended(Offset(0))];
    for _ in 0..2 {
        let result = cluster.commit_one(footer.clone()).await;
        assert_eq!(result, SlotResult::Committed(outcomes.clone()));
    }
    for partition in 0..2 {
        assert_eq!(cluster.log(&topic, partition).await, records_of(&batches, partition));
    }
    assert_eq!(cluster.metastore.slot_outcomes(first).await.unwrap(), Some(outcomes));
}

pub(crate) async fn a_slot_before_its_predecessor_waits_and_commits_with_it(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let batches: Vec<TestBatch> = (0..3).map(|_| batch(&topic, 0, 2)).collect();
    let early: Vec<SlotFooter> = (1..3)
        .map(|n| cluster.footer(slot(stream, n as u64), &batches[n..=n]))
        .collect();
    let results = cluster.committer.commit(early).await.unwrap();
    assert!(results.values().all(|result| *result == SlotResult::Pending));
    assert_eq!(cluster.plan(&topic, 0).await.end, Offset(0));

    // Their footers are in Postgres: the objects are not even there.
    cluster.outcomes(slot(stream, 0), &batches[..1]).await;
    assert_eq!(cluster.gate(stream).await, 3);
    let last = cluster.metastore.slot_outcomes(slot(stream, 2)).await.unwrap();
    assert_eq!(last, Some(vec![Appended(Offset(4))]));
    let from_the_first = slot(stream, 0).seq;
    let pending = cluster
        .metastore
        .pending_slots(stream, from_the_first, 9)
        .await
        .unwrap();
    assert!(pending.is_empty());
}

pub(crate) async fn slots_whose_events_never_come_are_read_by_the_next_one(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let batches: Vec<TestBatch> = (0..150).map(|_| batch(&topic, 0, 1)).collect();
    let mut last = None;
    for (n, one) in batches.iter().enumerate() {
        last = Some(cluster.put(slot(stream, n as u64), std::slice::from_ref(one)).await);
    }
    let result = cluster.commit_one(last.unwrap()).await;
    assert_eq!(result, SlotResult::Committed(vec![Appended(Offset(149))]));
    assert_eq!(cluster.log(&topic, 0).await, records_of(&batches, 0));
    // Each object once; those already at hand not at all. 150 more are those of `log`.
    assert_eq!(cluster.store.gets(), 149 + 150);
}

pub(crate) async fn what_lies_past_a_tombstone_never_commits(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let past = cluster.footer(slot(stream, 2), &[batch(&topic, 0, 1)]);
    assert_eq!(cluster.commit_one(past.clone()).await, SlotResult::Pending);
    cluster.outcomes(slot(stream, 0), &[batch(&topic, 0, 1)]).await;
    let end = cluster.tombstone(slot(stream, 1));
    assert_eq!(cluster.commit_one(end.clone()).await, SlotResult::Committed(vec![]));
    assert_eq!(cluster.commit_one(past).await, SlotResult::Orphan);
    assert_eq!(cluster.commit_one(end).await, SlotResult::Committed(vec![]));
    assert_eq!(cluster.plan(&topic, 0).await.end, Offset(1));
}

pub(crate) async fn slots_of_a_stream_without_a_row_are_told_so(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let nobodys = slot(StreamId(Uuid::now_v7()), 0);
    let footer = cluster.footer(nobodys, &[batch(&topic, 0, 1)]);
    assert_eq!(cluster.commit_one(footer).await, SlotResult::UnknownStream);
    assert_eq!(cluster.plan(&topic, 0).await.end, Offset(0));
}

pub(crate) async fn an_unreadable_slot_stops_its_stream_and_no_other(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let (stuck, sound) = (cluster.stream().await, cluster.stream().await);
    let (stranger, _) = seal(ClusterId(Uuid::new_v4()), slot(stuck, 0), Kind::Data, &[]);
    cluster.put_bytes(slot(stuck, 0), stranger).await;
    let behind = cluster.footer(slot(stuck, 1), &[batch(&topic, 0, 1)]);
    let error = cluster.committer.commit(vec![behind]).await.unwrap_err();
    assert!(
        matches!(error, CommitError::Slot(_)) && !error.is_retriable(),
        "{error}"
    );
    cluster.outcomes(slot(sound, 0), &[batch(&topic, 0, 1)]).await;
    assert_eq!((cluster.gate(stuck).await, cluster.gate(sound).await), (0, 1));
}

pub(crate) async fn what_ails_a_later_slot_does_not_cost_an_earlier_one_its_answer(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let later = cluster.footer(slot(stream, 2), &[batch(&topic, 0, 1)]);
    assert_eq!(cluster.commit_one(later).await, SlotResult::Pending);
    let (stranger, _) = seal(ClusterId(Uuid::new_v4()), slot(stream, 1), Kind::Data, &[]);
    cluster.put_bytes(slot(stream, 1), stranger).await;
    let outcomes = cluster.outcomes(slot(stream, 0), &[batch(&topic, 0, 1)]).await;
    assert_eq!(outcomes, [Appended(Offset(0))]);
}

pub(crate) async fn a_merged_object_in_a_slot_is_not_committed_again(cluster: World) {
    let first = slot(cluster.stream().await, 0);
    let (merged, _) = seal(cluster.id, first, Kind::Merged, &[]);
    cluster.put_bytes(first, merged).await;
    let error = cluster.committer.read_footer(first).await.unwrap_err();
    assert!(error.to_string().contains("merged"), "{error}");
}

pub(crate) async fn batches_of_a_deleted_topic_end_and_their_neighbours_commit(cluster: World) {
    let (kept, deleted) = (cluster.topic("kept", 1).await, cluster.topic("deleted", 1).await);
    let stream = cluster.stream().await;
    let batches = [batch(&deleted, 0, 1), batch(&kept, 0, 2), batch(&kept, 1, 1)];
    cluster.outcomes(slot(stream, 0), &batches[..1]).await;
    cluster.metastore.delete_topic(deleted.id).await.unwrap();
    let outcomes = cluster.outcomes(slot(stream, 1), &batches).await;
    assert_eq!(outcomes, [TopicDeleted, Appended(Offset(0)), TopicDeleted]);
    assert_eq!(cluster.log(&kept, 0).await, records_of(&batches[1..], 0));
}

pub(crate) async fn a_slot_is_kept_only_while_the_gate_stands_where_its_keeper_saw_it(cluster: World) {
    let stream = cluster.stream().await;
    let gate = slot(stream, 0).seq;
    let kept: Vec<SlotFooter> = (2..5).map(|seq| cluster.footer(slot(stream, seq), &[])).collect();
    for _ in 0..2 {
        assert!(cluster.metastore.keep_pending(stream, gate, &kept).await.unwrap());
    }
    let pending = cluster.metastore.pending_slots(stream, SlotSeq(3), 1).await.unwrap();
    let found: Vec<(Slot, u64)> = pending.iter().map(|slot| (slot.slot(), slot.object_bytes)).collect();
    assert_eq!(found, [(slot(stream, 3), kept[1].object_bytes)]);
    assert_eq!(pending[0].footer, kept[1].footer);

    cluster.outcomes(slot(stream, 0), &[]).await;
    let late = [cluster.footer(slot(stream, 9), &[])];
    assert!(!cluster.metastore.keep_pending(stream, gate, &late).await.unwrap());
    let nobodys = StreamId(Uuid::now_v7());
    assert!(!cluster.metastore.keep_pending(nobodys, gate, &late).await.unwrap());
    let pending = cluster.metastore.pending_slots(stream, gate, 9).await.unwrap();
    assert_eq!(pending.len(), 3);
}

pub(crate) async fn progress_names_what_was_committed_from_the_slot_asked_for(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    for seq in 0..4 {
        cluster.outcomes(slot(stream, seq), &[batch(&topic, 0, 2)]).await;
    }
    cluster.commit(vec![cluster.tombstone(slot(stream, 4))]).await;
    let progress = cluster
        .metastore
        .stream_progress(stream, SlotSeq(2), 2)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((progress.next_seq, progress.end_seq), (SlotSeq(5), Some(SlotSeq(4))));
    let expected = [
        (SlotSeq(2), vec![Appended(Offset(4))]),
        (SlotSeq(3), vec![Appended(Offset(6))]),
    ];
    assert_eq!(progress.outcomes, expected);
    // A stream that was opened again is none the younger for it.
    cluster.metastore.open_stream(stream, NodeId(9)).await.unwrap();
    assert_eq!(cluster.gate(stream).await, 5);
    let nobodys = StreamId(Uuid::now_v7());
    let progress = cluster.metastore.stream_progress(nobodys, SlotSeq(0), 9).await.unwrap();
    assert_eq!(progress, None);
}

pub(crate) async fn ends_of_logs_are_told_for_the_partitions_that_are_there(cluster: World) {
    let topic = cluster.topic("t", 2).await;
    let batches = [batch(&topic, 1, 3).at(70), batch(&topic, 1, 1).at(60)];
    cluster.outcomes(slot(cluster.stream().await, 0), &batches).await;
    let asked: Vec<_> = (0..3).map(|index| (topic.number, PartitionIndex(index))).collect();
    let ends = cluster.metastore.log_ends(&asked).await.unwrap();
    let found: Vec<_> = ends
        .iter()
        .map(|((_, partition), ends)| (partition.0, ends.log_start.0, ends.end.0, ends.max_timestamp.0))
        .collect();
    assert_eq!(found, [(0, 0, 0, -1), (1, 0, 4, 70)]);
}
