//! The commit transaction on a real Postgres: how much it takes at once, and who waits for whom.

mod commit_support;

use commit::SlotFooter;
use commit::invoke::SlotResult;
use commit_support::{Cluster, TestBatch, batch, records_of, slot};
use futures::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use types::{Offset, Slot};

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

/// Each committer has a stream of its own, so that partitions alone are what they wait for; the transaction is called
/// past the committer, which would try a deadlock again and say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn committers_of_different_streams_wait_for_their_partitions_in_one_order() {
    const COMMITTERS: usize = 6;
    const SLOTS: u64 = 12;
    const PARTITIONS: i32 = 20;
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", PARTITIONS).await;
    let mut random = StdRng::seed_from_u64(2);
    let mut racers = Vec::new();
    for _ in 0..COMMITTERS {
        let stream = cluster.stream().await;
        let footers: Vec<SlotFooter> = (0..SLOTS)
            .map(|seq| {
                let mut batches: Vec<TestBatch> = (0..PARTITIONS).map(|p| batch(&topic, p, 1)).collect();
                batches.shuffle(&mut random);
                cluster.footer(slot(stream, seq), &batches)
            })
            .collect();
        let metastore = cluster.metastore.clone();
        racers.push(tokio::spawn(async move {
            for footer in footers {
                metastore.commit_transaction(&[footer], 0).await.expect("no deadlock");
            }
        }));
    }
    join_all(racers).await.into_iter().for_each(|raced| raced.unwrap());
    for partition in 0..PARTITIONS {
        let end = cluster.plan(&topic, partition).await.end;
        assert_eq!(end, Offset(COMMITTERS as i64 * SLOTS as i64));
    }
}
