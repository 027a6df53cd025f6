//! The log index in Postgres.

use async_trait::async_trait;
use object_format::slot_key;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tracing::Instrument;
use types::{ByteRange, ObjectId, ObjectKey, Offset, PartitionIndex, Slot, StreamId, TimestampMs, TopicNumber};
use uuid::Uuid;

use super::streams::from_sql;
use super::{Postgres, sql};
use crate::{IndexedRange, LogIndex, MetastoreError, PlannedPartition, WantedRange};

#[async_trait]
impl LogIndex for Postgres {
    async fn plan_fetch(&self, wanted: &[WantedRange]) -> Result<Vec<Option<PlannedPartition>>, MetastoreError> {
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
            .bind(wanted.iter().map(|w| i64::from(w.rows_max)).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .instrument(sql("plan"))
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

    async fn range_at_or_after(
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
