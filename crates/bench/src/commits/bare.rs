//! The same rows, written by somebody who decides nothing: what a commit is compared with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use commit::{BatchOutcome, SlotFooter, encode_outcomes};
use metastore::TopicInfo;
use sqlx::PgConnection;
use types::Offset;

use super::writer::RECORDS;

const STATEMENT: &str = include_str!("bare.sql");

/// Settings of its connection: each row is found by its key, batch after batch. That is as quick as any plan, and locks rows in the order
/// of the batches: two that locked them in different ones would wait for each other.
pub(super) const ONE_BY_ONE: [(&str, &str); 7] = [
    // It goes through the partitions in the order in which they lie on the disk, whatever the order of the batches.
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_seqscan", "off"),
    // Planned once, as commits are.
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
];

/// Who knows the next offset of every partition without asking.
#[derive(Clone, Debug)]
pub(super) struct Offsets(Arc<[AtomicI64]>);

impl Offsets {
    /// All 0.
    pub(super) fn of(topic: &TopicInfo) -> Self {
        Self((0..topic.partition_count).map(|_| AtomicI64::new(0)).collect())
    }

    fn take(&self, partition: usize) -> i64 {
        self.0[partition].fetch_add(i64::from(RECORDS), Ordering::Relaxed)
    }
}

/// What is written for one slot, as it is bound.
#[derive(Debug)]
pub(super) struct Rows {
    slot: SlotFooter,
    outcomes: Vec<u8>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    sequences: Vec<i32>,
}

impl Rows {
    /// Gives the batches of a slot their offsets.
    pub(super) fn of(slot: SlotFooter, offsets: &Offsets) -> Self {
        let batches = &slot.footer.batches;
        let partitions: Vec<i32> = batches.iter().map(|batch| batch.partition.0).collect();
        let taken: Vec<i64> = partitions
            .iter()
            .map(|partition| offsets.take(usize::try_from(*partition).unwrap_or_default()))
            .collect();
        let outcomes: Vec<_> = taken.iter().map(|at| BatchOutcome::Appended(Offset(*at))).collect();
        Self {
            outcomes: encode_outcomes(&outcomes),
            sequences: batches.iter().map(|batch| batch.base_sequence.0).collect(),
            partitions,
            offsets: taken,
            slot,
        }
    }
}

/// Writes them.
pub(super) async fn write(connection: &mut PgConnection, topic: &TopicInfo, rows: &Rows) -> Result<()> {
    let first = &rows.slot.footer.batches[0];
    sqlx::query(STATEMENT)
        .bind(rows.slot.slot().stream.0)
        .bind(i64::try_from(rows.slot.slot().seq.0)?)
        .bind(i64::try_from(rows.slot.object_bytes)?)
        .bind(&rows.outcomes)
        .bind(topic.number.0)
        .bind(first.producer_id.0)
        .bind(RECORDS)
        .bind(i32::try_from(first.range.len())?)
        .bind(&rows.partitions)
        .bind(&rows.offsets)
        .bind(&rows.sequences)
        .execute(connection)
        .await?;
    Ok(())
}
