//! Producers' states in Postgres.

use async_trait::async_trait;
use sqlx::Row;
use types::{PartitionIndex, ProducerEpoch, ProducerId, TopicNumber};

use super::Postgres;
use super::commit_tx::producer_state;
use crate::{MetastoreError, ProducerStates, ProducersOfPartitions};

#[async_trait]
impl ProducerStates for Postgres {
    async fn active_producers(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
        expiry_ms: i64,
    ) -> Result<ProducersOfPartitions, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/producer_states/active.sql"))
            .bind(partitions.iter().map(|(topic, _)| topic.0).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, partition)| partition.0).collect::<Vec<_>>())
            .bind(expiry_ms)
            .fetch_all(&self.pool)
            .await?;
        let mut producers = ProducersOfPartitions::new();
        for row in &rows {
            let key = (
                TopicNumber(row.try_get("topic_number")?),
                PartitionIndex(row.try_get("partition_index")?),
            );
            let state = producer_state(row, ProducerEpoch(row.try_get("producer_epoch")?))?;
            let id = ProducerId(row.try_get("producer_id")?);
            producers.entry(key).or_default().insert(id, state);
        }
        Ok(producers)
    }
}
