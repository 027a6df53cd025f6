//! Partitions in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{PartitionIndex, TopicNumber};

use super::Connection;
use crate::{LogEnds, MetastoreError, Partitions};

#[async_trait]
impl Partitions for Connection {
    async fn log_ends(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogEnds>, MetastoreError> {
        let find = self.call("log_ends", |tables, _| {
            let found = partitions.iter().filter_map(|key| tables.partitions.get_key_value(key));
            found.map(|(key, ends)| (*key, *ends)).collect()
        });
        find.await
    }
}
