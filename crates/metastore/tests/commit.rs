//! The commit transaction on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod commit_support;

use commit::BatchOutcome::{
    Appended, Duplicate, DuplicateForgotten, InvalidProducerEpoch, OutOfOrderSequence, TopicDeleted,
};
use commit::invoke::SlotResult;
use commit::{BatchOutcome, SlotFooter};
use commit_support::{Cluster, TestBatch, batch, records_of, seal, slot};
use futures::future::join_all;
use metastore::{CommitError, CommitHints};
use object_format::Kind;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use types::{ClusterId, Offset, Slot, StreamId};
use uuid::Uuid;

impl Cluster {
    /// Commits one slot that is not in S3 and must commit at once.
    async fn outcomes(&self, slot: Slot, batches: &[TestBatch]) -> Vec<BatchOutcome> {
        self.put(slot, batches).await;
        let footer = self.committer.read_footer(slot).await.unwrap().unwrap();
        match self.commit_one(footer).await {
            SlotResult::Committed(outcomes) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    async fn commit_one(&self, footer: SlotFooter) -> SlotResult {
        let slot = footer.slot();
        let mut results = self.committer.commit(vec![footer]).await.unwrap();
        results.remove(&slot).unwrap()
    }

    async fn gate(&self, stream: StreamId) -> u64 {
        let from = slot(stream, 0).seq;
        let progress = self.metastore.stream_progress(stream, from, 0).await.unwrap();
        progress.unwrap().next_seq.0
    }
}

#[tokio::test]
async fn a_slot_is_committed_once_and_told_the_same_every_time() {
    let cluster = Cluster::new().await;
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

#[tokio::test]
async fn a_slot_before_its_predecessor_waits_and_commits_with_it() {
    let cluster = Cluster::new().await;
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
    let raw = sqlx::PgPool::connect(&cluster.url()).await.unwrap();
    let pending: i64 = sqlx::query_scalar("SELECT count(*) FROM pending_slots")
        .fetch_one(&raw)
        .await
        .unwrap();
    assert_eq!(pending, 0);
}

#[tokio::test]
async fn whoever_waits_for_commits_is_told_of_new_ones_only() {
    let cluster = Cluster::new().await;
    let mut hints = CommitHints::listen(&cluster.metastore);
    // Heard only once it listens: sent until then.
    let sent = async {
        loop {
            cluster.metastore.notify_commit("ready").await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ready = hints.recv() => assert_eq!(ready, "ready"),
        () = sent => {}
    }
    let end = cluster.tombstone(slot(cluster.stream().await, 0));
    for _ in 0..2 {
        cluster.commit(vec![end.clone()]).await;
    }
    cluster.metastore.notify_commit("last").await.unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|hint| hint != "last") {
        heard.push(hints.recv().await);
    }
    heard.retain(|hint| hint != "ready");
    assert_eq!(heard, ["", "last"]);
}

#[tokio::test]
async fn slots_whose_events_never_come_are_read_by_the_next_one() {
    let cluster = Cluster::new().await;
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

#[tokio::test]
async fn much_work_is_cut_into_transactions_that_end_in_time() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let many_slots = cluster.stream().await;
    let many_batches = cluster.stream().await;
    let small = (0..130).map(|seq| cluster.footer(slot(many_slots, seq), &[batch(&topic, 0, 1)]));
    let batches: Vec<TestBatch> = (0..6_000).map(|_| batch(&topic, 0, 1)).collect();
    let large = (0..3).map(|seq| cluster.footer(slot(many_batches, seq), &batches));
    let raw = sqlx::PgPool::connect(&cluster.url()).await.unwrap();
    for (slots, transactions) in [(small.collect::<Vec<_>>(), 3), (large.collect(), 3)] {
        let stream = slots[0].slot().stream;
        cluster.commit(slots).await;
        let found: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM objects WHERE stream_id = $1")
            .bind(stream.0)
            .fetch_one(&raw)
            .await
            .unwrap();
        assert_eq!(found, transactions);
    }
    assert_eq!(cluster.plan(&topic, 0).await.end, Offset(130 + 18_000));
}

#[tokio::test]
async fn what_lies_past_a_tombstone_never_commits() {
    let cluster = Cluster::new().await;
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

#[tokio::test]
async fn slots_of_a_stream_without_a_row_are_told_so() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let nobodys = slot(StreamId(Uuid::now_v7()), 0);
    let footer = cluster.footer(nobodys, &[batch(&topic, 0, 1)]);
    assert_eq!(cluster.commit_one(footer).await, SlotResult::UnknownStream);
    assert_eq!(cluster.plan(&topic, 0).await.end, Offset(0));
}

#[tokio::test]
async fn an_unreadable_slot_stops_its_stream_and_no_other() {
    let cluster = Cluster::new().await;
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

#[tokio::test]
async fn what_ails_a_later_slot_does_not_cost_an_earlier_one_its_answer() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let later = cluster.footer(slot(stream, 2), &[batch(&topic, 0, 1)]);
    assert_eq!(cluster.commit_one(later).await, SlotResult::Pending);
    let (stranger, _) = seal(ClusterId(Uuid::new_v4()), slot(stream, 1), Kind::Data, &[]);
    cluster.put_bytes(slot(stream, 1), stranger).await;
    let outcomes = cluster.outcomes(slot(stream, 0), &[batch(&topic, 0, 1)]).await;
    assert_eq!(outcomes, [Appended(Offset(0))]);
}

#[tokio::test]
async fn a_merged_object_in_a_slot_is_not_committed_again() {
    let cluster = Cluster::new().await;
    let first = slot(cluster.stream().await, 0);
    let (merged, _) = seal(cluster.id, first, Kind::Merged, &[]);
    cluster.put_bytes(first, merged).await;
    let error = cluster.committer.read_footer(first).await.unwrap_err();
    assert!(error.to_string().contains("merged"), "{error}");
}

#[tokio::test]
async fn a_batch_sent_again_through_another_stream_gets_its_first_offset() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 2).await;
    let (a, b) = (cluster.stream().await, cluster.stream().await);
    let first = batch(&topic, 0, 3).of(7, 0, 0);
    let second = batch(&topic, 0, 2).of(7, 0, 3);
    let plain = batch(&topic, 0, 1);
    assert_eq!(
        cluster
            .outcomes(slot(a, 0), &[first.clone(), plain.clone(), second.clone()])
            .await,
        [Appended(Offset(0)), Appended(Offset(3)), Appended(Offset(4))]
    );
    // The same sequence of another partition is another batch.
    let elsewhere = batch(&topic, 1, 3).of(7, 0, 0);
    let again = [
        second.clone(),
        first.clone(),
        elsewhere,
        batch(&topic, 0, 1).of(7, 0, 5),
    ];
    assert_eq!(
        cluster.outcomes(slot(b, 0), &again).await,
        [
            Duplicate(Offset(4)),
            Duplicate(Offset(0)),
            Appended(Offset(0)),
            Appended(Offset(6))
        ]
    );
    let expected = [first, plain, second, again[3].clone()];
    assert_eq!(cluster.log(&topic, 0).await, records_of(&expected, 0));
}

#[tokio::test]
async fn gaps_and_old_epochs_are_refused_and_leave_the_log_alone() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let sent = [
        batch(&topic, 0, 1).of(7, 0, 1),
        batch(&topic, 0, 1).of(7, 0, 0),
        batch(&topic, 0, 1).of(7, 0, 2),
        batch(&topic, 0, 1).of(7, 1, 0),
        batch(&topic, 0, 1).of(7, 0, 1),
    ];
    let outcomes = cluster.outcomes(slot(stream, 0), &sent).await;
    let expected = [
        OutOfOrderSequence,
        Appended(Offset(0)),
        OutOfOrderSequence,
        Appended(Offset(1)),
        InvalidProducerEpoch,
    ];
    assert_eq!(outcomes, expected);
    let appended = [sent[1].clone(), sent[3].clone()];
    assert_eq!(cluster.log(&topic, 0).await, records_of(&appended, 0));
}

#[tokio::test]
async fn the_last_five_batches_of_a_producer_survive_in_postgres() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let sent: Vec<TestBatch> = (0..7).map(|n| batch(&topic, 0, 2).of(7, 0, n * 2)).collect();
    for (n, one) in sent.iter().enumerate() {
        cluster
            .outcomes(slot(stream, n as u64), std::slice::from_ref(one))
            .await;
    }
    let outcomes = cluster.outcomes(slot(stream, 7), &sent).await;
    let expected: Vec<BatchOutcome> = (0..7)
        .map(|n| {
            if n < 2 {
                DuplicateForgotten
            } else {
                Duplicate(Offset(n * 2))
            }
        })
        .collect();
    assert_eq!(outcomes, expected);
    assert_eq!(cluster.log(&topic, 0).await, records_of(&sent, 0));
}

#[tokio::test]
async fn neighbours_share_an_index_row_and_a_refused_batch_splits_it() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 2).await;
    let stream = cluster.stream().await;
    let batches = [
        batch(&topic, 0, 1),
        batch(&topic, 0, 2),
        batch(&topic, 0, 3).of(7, 0, 9),
        batch(&topic, 0, 4),
        batch(&topic, 1, 5),
        batch(&topic, 0, 6),
    ];
    let outcomes = cluster.outcomes(slot(stream, 0), &batches).await;
    assert_eq!(outcomes[2], OutOfOrderSequence);
    let rows: Vec<(i64, i64, u64)> = cluster
        .plan(&topic, 0)
        .await
        .ranges
        .iter()
        .map(|row| (row.base_offset.0, row.next_offset.0, row.range.start / 8))
        .collect();
    assert_eq!(rows, [(0, 3, 0), (3, 7, 6), (7, 13, 15)]);
}

#[tokio::test]
async fn batches_of_a_deleted_topic_end_and_their_neighbours_commit() {
    let cluster = Cluster::new().await;
    let (kept, deleted) = (cluster.topic("kept", 1).await, cluster.topic("deleted", 1).await);
    let stream = cluster.stream().await;
    let batches = [batch(&deleted, 0, 1), batch(&kept, 0, 2), batch(&kept, 1, 1)];
    cluster.outcomes(slot(stream, 0), &batches[..1]).await;
    cluster.metastore.delete_topic(deleted.id).await.unwrap();
    let outcomes = cluster.outcomes(slot(stream, 1), &batches).await;
    assert_eq!(outcomes, [TopicDeleted, Appended(Offset(0)), TopicDeleted]);
    assert_eq!(cluster.log(&kept, 0).await, records_of(&batches[1..], 0));
}

/// Several committers are each given all slots of all streams, in orders of their own, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn committers_that_race_give_each_record_one_offset_and_never_deadlock() {
    const STREAMS: usize = 4;
    const SLOTS: u64 = 24;
    const PARTITIONS: i32 = 5;
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", PARTITIONS).await;
    let mut random = StdRng::seed_from_u64(1);
    let mut footers = Vec::new();
    let mut sent = Vec::new();
    for _ in 0..STREAMS {
        let stream = cluster.stream().await;
        let mut of_stream = Vec::new();
        for seq in 0..SLOTS {
            let mut batches: Vec<TestBatch> = (0..PARTITIONS).map(|p| batch(&topic, p, 2)).collect();
            batches.shuffle(&mut random);
            footers.push(cluster.put(slot(stream, seq), &batches).await);
            of_stream.extend(batches);
        }
        sent.push(of_stream);
    }
    let racers = (0..4).map(|_| {
        footers.shuffle(&mut random);
        let chunks: Vec<Vec<SlotFooter>> = footers.chunks(8).map(<[_]>::to_vec).collect();
        let committer = cluster.committer.clone();
        tokio::spawn(async move {
            let mut results = Vec::new();
            for chunk in chunks {
                results.extend(committer.commit(chunk).await.unwrap());
            }
            results
        })
    });
    let racers: Vec<_> = racers.collect();
    let told: Vec<(Slot, SlotResult)> = join_all(racers).await.into_iter().flat_map(Result::unwrap).collect();

    for partition in 0..PARTITIONS {
        let log = cluster.log(&topic, partition).await;
        assert_eq!(log.len() as u64, STREAMS as u64 * SLOTS * 2);
        for of_stream in &sent {
            let wanted = records_of(of_stream, partition);
            let found: Vec<u64> = log.iter().copied().filter(|r| wanted.contains(r)).collect();
            assert_eq!(found, wanted, "a stream's records keep their order and appear once");
        }
    }
    for (slot, result) in told {
        let outcomes = cluster.metastore.slot_outcomes(slot).await.unwrap().unwrap();
        assert!([SlotResult::Pending, SlotResult::Committed(outcomes)].contains(&result));
    }
    let raw = sqlx::PgPool::connect(&cluster.url()).await.unwrap();
    let deadlocks: i64 =
        sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(&raw)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}

#[tokio::test]
async fn reads_agree_with_a_log_kept_by_hand() {
    for seed in 0..4 {
        Model::build(seed).await.check().await;
    }
}

/// One row of the log index as it should be.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    slot: Slot,
    base: i64,
    next: i64,
    start: u64,
    bytes: u64,
    max_timestamp: i64,
}

/// A partition of random objects, and beside it what its index should say.
struct Model {
    cluster: Cluster,
    topic: metastore::TopicInfo,
    rows: Vec<Row>,
    random: StdRng,
}

impl Model {
    async fn build(seed: u64) -> Self {
        let cluster = Cluster::new().await;
        let topic = cluster.topic("t", 2).await;
        let mut random = StdRng::seed_from_u64(seed);
        let stream = cluster.stream().await;
        let mut rows: Vec<Row> = Vec::new();
        for seq in 0..random.random_range(1..100) {
            let slot = slot(stream, seq);
            let mut start = 0;
            let mut may_join = false;
            let mut batches = Vec::new();
            for _ in 0..random.random_range(1..5) {
                let (partition, count) = (random.random_range(0..2), random.random_range(1..6));
                let timestamp = random.random_range(0..200);
                batches.push(batch(&topic, partition, count).at(timestamp));
                let bytes = count * 8;
                if partition == 0 {
                    let (base, before) = rows.last().map_or((0, -1), |row| (row.next, row.max_timestamp));
                    let row = Row {
                        slot,
                        base,
                        next: base + count as i64,
                        start,
                        bytes,
                        max_timestamp: before.max(timestamp),
                    };
                    match rows.last_mut() {
                        Some(last) if may_join => {
                            last.next = row.next;
                            last.bytes += bytes;
                            last.max_timestamp = row.max_timestamp;
                        }
                        _ => rows.push(row),
                    }
                }
                may_join = partition == 0;
                start += bytes;
            }
            cluster.outcomes(slot, &batches).await;
        }
        Self {
            cluster,
            topic,
            rows,
            random,
        }
    }

    async fn check(mut self) {
        let end = self.rows.last().map_or(0, |row| row.next);
        for _ in 0..60 {
            let from = self.random.random_range(-1..=end + 1);
            let bytes_max = self.random.random_range(1..600);
            self.check_plan(from, bytes_max, end).await;
        }
        for timestamp in -1..=200 {
            self.check_timestamp(timestamp).await;
        }
    }

    async fn check_plan(&self, from: i64, bytes_max: u64, end: i64) {
        let wanted = metastore::WantedRange {
            topic: self.topic.number,
            partition: types::PartitionIndex(0),
            from: Offset(from),
            bytes_max,
        };
        let nowhere = metastore::WantedRange {
            partition: types::PartitionIndex(9),
            ..wanted
        };
        let plans = self.cluster.metastore.plan_fetch(&[nowhere, wanted]).await.unwrap();
        assert_eq!(plans[0], None);
        let plan = plans[1].clone().unwrap();
        assert_eq!((plan.log_start, plan.end), (Offset(0), Offset(end)));
        let inside = (0..end).contains(&from);
        let mut covered = 0;
        let expected: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| inside && row.next > from)
            .take_while(|row| {
                covered += row.bytes;
                covered - row.bytes < bytes_max
            })
            .take(64)
            .collect();
        let found: Vec<_> = plan.ranges.iter().take(64).collect();
        assert_eq!(found.len(), expected.len(), "from {from} for {bytes_max}");
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(is_row(found, expected), "{found:?} is not {expected:?}");
        }
    }

    async fn check_timestamp(&self, timestamp: i64) {
        let found = self
            .cluster
            .metastore
            .range_at_or_after(
                self.topic.number,
                types::PartitionIndex(0),
                types::TimestampMs(timestamp),
            )
            .await
            .unwrap();
        let expected = self.rows.iter().find(|row| row.max_timestamp >= timestamp);
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) if is_row(found, expected) => {}
            other => panic!("at {timestamp}: {other:?}"),
        }
    }
}

fn is_row(found: &metastore::IndexedRange, expected: &Row) -> bool {
    found.base_offset.0 == expected.base
        && found.next_offset.0 == expected.next
        && found.key == object_format::slot_key(expected.slot)
        && (found.range.start, found.range.len()) == (expected.start, expected.bytes)
}
