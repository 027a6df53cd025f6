//! Producers' states in memory.

use async_trait::async_trait;
use types::{PartitionIndex, ProducerId, TopicNumber};

use super::Connection;
use crate::{MetastoreError, ProducerStates, ProducersOfPartitions};

#[async_trait]
impl ProducerStates for Connection {
    async fn active_producers(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
        expiry_ms: i64,
    ) -> Result<ProducersOfPartitions, MetastoreError> {
        let look = self.call("active_producers", |tables, now| {
            let of_partition = |&(topic, partition): &(TopicNumber, PartitionIndex)| {
                let all = (topic, partition, ProducerId(i64::MIN))..=(topic, partition, ProducerId(i64::MAX));
                let rows = tables.producer_state.range(all);
                let active = rows.filter(|(_, state)| now.0 - state.updated_at.0 <= expiry_ms);
                let producers = active.map(|((_, _, id), state)| (*id, state.clone())).collect();
                ((topic, partition), producers)
            };
            partitions.iter().map(of_partition).collect()
        });
        look.await
    }
}
