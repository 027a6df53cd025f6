//! Partitions in Postgres.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Row;
use types::{Offset, PartitionIndex, TimestampMs, TopicNumber};

use super::Postgres;
use crate::{LogEnds, MetastoreError, Partitions};

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
            let key = (
                TopicNumber(row.try_get("topic_number")?),
                PartitionIndex(row.try_get("partition_index")?),
            );
            let log_ends = LogEnds {
                log_start: Offset(row.try_get("log_start_offset")?),
                end: Offset(row.try_get("next_offset")?),
                max_timestamp: TimestampMs(row.try_get("max_timestamp_ms")?),
            };
            ends.insert(key, log_ends);
        }
        Ok(ends)
    }
}
