//! Partitions in Postgres.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;
use types::{Offset, PartitionIndex, TimestampMs, TopicNumber};

use super::Postgres;
use crate::{LogEnds, LogStartMove, MetastoreError, NewLogStart, Partitions};

#[async_trait]
impl Partitions for Postgres {
    async fn log_ends(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogEnds>, MetastoreError> {
        let statement = "SELECT topic_number, partition_index, log_start_offset, next_offset, max_timestamp_ms \
             FROM unnest($1::int4[], $2::int4[]) AS wanted (topic_number, partition_index) \
             JOIN partitions USING (topic_number, partition_index)";
        let rows = sqlx::query(statement)
            .bind(partitions.iter().map(|(topic, _)| topic.0).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, partition)| partition.0).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut ends = BTreeMap::new();
        for row in &rows {
            let log_ends = LogEnds {
                log_start: Offset(row.try_get("log_start_offset")?),
                end: Offset(row.try_get("next_offset")?),
                max_timestamp: TimestampMs(row.try_get("max_timestamp_ms")?),
            };
            ends.insert(key(row)?, log_ends);
        }
        Ok(ends)
    }

    async fn move_log_starts(
        &self,
        to: &BTreeMap<(TopicNumber, PartitionIndex), NewLogStart>,
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogStartMove>, MetastoreError> {
        let topics: Vec<i32> = to.keys().map(|(topic, _)| topic.0).collect();
        let partitions: Vec<i32> = to.keys().map(|(_, partition)| partition.0).collect();
        let starts = to.values().map(|to| match to {
            NewLogStart::At(offset) => Some(offset.0),
            NewLogStart::End => None,
        });
        let mut transaction = self.begin().await?;
        let there = sqlx::query(include_str!("queries/partitions/lock.sql"))
            .bind(&topics)
            .bind(&partitions)
            .fetch_all(&mut transaction)
            .await?;
        let moved = sqlx::query(include_str!("queries/partitions/move_log_starts.sql"))
            .bind(&topics)
            .bind(&partitions)
            .bind(starts.collect::<Vec<_>>())
            .fetch_all(&mut transaction)
            .await?;
        transaction.commit().await?;
        let mut moves = BTreeMap::new();
        for row in &there {
            moves.insert(key(row)?, LogStartMove::OutOfRange);
        }
        for row in &moved {
            let start = Offset(row.try_get("log_start_offset")?);
            moves.insert(key(row)?, LogStartMove::StartsAt(start));
        }
        Ok(moves)
    }

    async fn log_bytes(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), u64>, MetastoreError> {
        let statement = "SELECT topic_number, partition_index, log_bytes \
             FROM unnest($1::int4[], $2::int4[]) AS wanted (topic_number, partition_index) \
             JOIN partitions USING (topic_number, partition_index)";
        let rows = sqlx::query(statement)
            .bind(partitions.iter().map(|(topic, _)| topic.0).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, partition)| partition.0).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let bytes = rows.iter().map(|row| {
            let bytes = u64::try_from(row.try_get::<i64, _>("log_bytes")?).unwrap_or_default();
            Ok((key(row)?, bytes))
        });
        bytes.collect()
    }

    async fn topic_bytes(&self) -> Result<BTreeMap<TopicNumber, u64>, MetastoreError> {
        let statement = "SELECT topic_number, sum(log_bytes)::int8 AS log_bytes FROM partitions GROUP BY topic_number";
        let rows = sqlx::query(statement).fetch_all(&self.pool).await?;
        let bytes = rows.iter().map(|row| {
            let bytes = u64::try_from(row.try_get::<i64, _>("log_bytes")?).unwrap_or_default();
            Ok((TopicNumber(row.try_get("topic_number")?), bytes))
        });
        bytes.collect()
    }
}

fn key(row: &PgRow) -> Result<(TopicNumber, PartitionIndex), MetastoreError> {
    Ok((
        TopicNumber(row.try_get("topic_number")?),
        PartitionIndex(row.try_get("partition_index")?),
    ))
}
