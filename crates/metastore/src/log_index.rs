//! The log index: which bytes of which object hold which offsets of a partition.

use object_format::slot_key;
use sqlx::Row;
use sqlx::postgres::PgRow;
use types::{ByteRange, ObjectId, ObjectKey, Offset, PartitionIndex, Slot, StreamId, TimestampMs, TopicNumber};
use uuid::Uuid;

use crate::streams::from_sql;
use crate::{Metastore, MetastoreError};

/// Most index rows one plan names per partition: each is one range to read.
const ROWS_PER_PARTITION_MAX: i64 = 64;

/// What a fetch wants of one partition.
#[derive(Clone, Copy, Debug)]
pub struct WantedRange {
    /// The topic.
    pub topic: TopicNumber,
    /// The partition.
    pub partition: PartitionIndex,
    /// The first offset wanted.
    pub from: Offset,
    /// Rows are named until they cover so many bytes.
    pub bytes_max: u64,
}

/// Batches of one partition that lie side by side in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedRange {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// One past the offset of the last record.
    pub next_offset: Offset,
    /// The object.
    pub object: ObjectId,
    /// Its key.
    pub key: ObjectKey,
    /// Where the bytes lie in it.
    pub range: ByteRange,
}

/// A partition's log as a reader may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPartition {
    /// First offset still there.
    pub log_start: Offset,
    /// One past the last committed record: the high watermark.
    pub end: Offset,
    /// What holds the wanted offset and what follows it; empty when it lies outside `log_start..end`.
    pub ranges: Vec<IndexedRange>,
}

impl Metastore {
    /// Plans a fetch of several partitions in one statement; `None` for a partition that is not there.
    pub async fn plan_fetch(&self, wanted: &[WantedRange]) -> Result<Vec<Option<PlannedPartition>>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/log_index/plan.sql"))
            .bind(wanted.iter().map(|w| w.topic.0).collect::<Vec<_>>())
            .bind(wanted.iter().map(|w| w.partition.0).collect::<Vec<_>>())
            .bind(wanted.iter().map(|w| w.from.0).collect::<Vec<_>>())
            .bind(
                wanted
                    .iter()
                    .map(|w| w.bytes_max.min(i64::MAX as u64).cast_signed())
                    .collect::<Vec<_>>(),
            )
            .bind(ROWS_PER_PARTITION_MAX)
            .fetch_all(&self.pool)
            .await?;
        let mut planned: Vec<Option<PlannedPartition>> = vec![None; wanted.len()];
        for row in &rows {
            let n = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or(usize::MAX);
            let place = planned
                .get_mut(n)
                .ok_or_else(|| MetastoreError::Internal("plan.sql miscounted".to_owned()))?;
            let partition = place.get_or_insert(PlannedPartition {
                log_start: Offset(row.try_get("log_start_offset")?),
                end: Offset(row.try_get("end_offset")?),
                ranges: Vec::new(),
            });
            if row.try_get::<Option<i64>, _>("base_offset")?.is_some() {
                partition.ranges.push(indexed_range(row)?);
            }
        }
        Ok(planned)
    }

    /// The first range that may hold a record at or after `timestamp`; `None` when all records are older.
    pub async fn range_at_or_after(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        timestamp: TimestampMs,
    ) -> Result<Option<IndexedRange>, MetastoreError> {
        let row = sqlx::query(include_str!("queries/log_index/first_at_or_after.sql"))
            .bind(topic.0)
            .bind(partition.0)
            .bind(timestamp.0)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(indexed_range).transpose()
    }
}

fn indexed_range(row: &PgRow) -> Result<IndexedRange, MetastoreError> {
    let start = u64::try_from(row.try_get::<i32, _>("byte_start")?).unwrap_or_default();
    let count = u64::try_from(row.try_get::<i32, _>("byte_count")?).unwrap_or_default();
    let object_bytes = u64::try_from(row.try_get::<i64, _>("object_bytes")?).unwrap_or_default();
    if start + count > object_bytes {
        return Err(MetastoreError::Internal(format!(
            "index row past its object's end: {start} + {count}"
        )));
    }
    let key = match row.try_get::<Option<String>, _>("object_key")? {
        Some(key) => ObjectKey::new(key),
        None => slot_key(Slot {
            stream: StreamId(row.try_get::<Uuid, _>("stream_id")?),
            seq: from_sql(row.try_get("seq")?),
        }),
    };
    Ok(IndexedRange {
        base_offset: Offset(row.try_get("base_offset")?),
        next_offset: Offset(row.try_get("next_offset")?),
        object: ObjectId(row.try_get("object_id")?),
        key,
        range: ByteRange {
            start,
            end: start + count,
        },
    })
}
