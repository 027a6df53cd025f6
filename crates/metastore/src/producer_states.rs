//! What partitions remember of idempotent producers, for whoever wants to see it; only commits write it.

use std::collections::BTreeMap;

use ::commit::ProducerState;
use async_trait::async_trait;
use types::{PartitionIndex, ProducerId, TopicNumber};

use crate::MetastoreError;

/// Producers by the partitions they wrote to.
pub type ProducersOfPartitions = BTreeMap<(TopicNumber, PartitionIndex), BTreeMap<ProducerId, ProducerState>>;

/// The table of producers' states.
#[async_trait]
pub trait ProducerStates {
    /// Producers that wrote to these partitions within the last `expiry_ms`; a partition without one may be missing.
    async fn active_producers(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
        expiry_ms: i64,
    ) -> Result<ProducersOfPartitions, MetastoreError>;
}
