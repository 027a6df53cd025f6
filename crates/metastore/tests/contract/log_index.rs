//! What readers are told of the index.

use commit::BatchOutcome::OutOfOrderSequence;
use metastore::{IndexedRange, TopicInfo, WantedRange};
use object_format::slot_key;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use types::{Offset, PartitionIndex, Slot, TimestampMs};

use crate::cluster::{batch, slot};
use crate::world::World;

pub(crate) async fn neighbours_share_an_index_row_and_a_refused_batch_splits_it(cluster: World) {
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

pub(crate) async fn reads_agree_with_a_log_kept_by_hand(cluster: World) {
    for seed in 0..4 {
        Model::build(&cluster, seed).await.check().await;
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
struct Model<'a> {
    cluster: &'a World,
    topic: TopicInfo,
    rows: Vec<Row>,
    random: StdRng,
}

impl<'a> Model<'a> {
    async fn build(cluster: &'a World, seed: u64) -> Self {
        let topic = cluster.topic(&format!("t{seed}"), 2).await;
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
            let (bytes_max, rows_max) = (self.random.random_range(1..600), self.random.random_range(1..80));
            self.check_plan(from, bytes_max, rows_max, end).await;
        }
        for timestamp in -1..=200 {
            self.check_timestamp(timestamp).await;
        }
    }

    async fn check_plan(&self, from: i64, bytes_max: u64, rows_max: u32, end: i64) {
        let wanted = WantedRange {
            topic: self.topic.number,
            partition: PartitionIndex(0),
            from: Offset(from),
            bytes_max,
            rows_max,
        };
        let nowhere = WantedRange {
            partition: PartitionIndex(9),
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
            .take(rows_max as usize)
            .collect();
        let found = &plan.ranges;
        assert_eq!(
            found.len(),
            expected.len(),
            "from {from} for {bytes_max} in {rows_max} rows"
        );
        for (found, expected) in found.iter().zip(expected) {
            assert!(is_row(found, expected), "{found:?} is not {expected:?}");
        }
    }

    async fn check_timestamp(&self, timestamp: i64) {
        let found = self
            .cluster
            .metastore
            .range_at_or_after(self.topic.number, PartitionIndex(0), TimestampMs(timestamp))
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

fn is_row(found: &IndexedRange, expected: &Row) -> bool {
    found.base_offset.0 == expected.base
        && found.next_offset.0 == expected.next
        && found.key == slot_key(expected.slot)
        && (found.range.start, found.range.len()) == (expected.start, expected.bytes)
}
