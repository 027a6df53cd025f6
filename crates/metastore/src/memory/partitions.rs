//! Partitions in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{Offset, PartitionIndex, TopicNumber};

use super::Connection;
use crate::{LogEnds, LogStartMove, MetastoreError, NewLogStart, Partitions};

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

    async fn move_log_starts(
        &self,
        to: &BTreeMap<(TopicNumber, PartitionIndex), NewLogStart>,
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogStartMove>, MetastoreError> {
        let move_all = self.call("move_log_starts", |tables, _| {
            let moves = to.iter().filter_map(|(key, to)| {
                let ends = tables.partitions.get_mut(key)?;
                Some((*key, ends.start_at(*to)))
            });
            moves.collect()
        });
        move_all.await
    }

    async fn log_bytes(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), u64>, MetastoreError> {
        let count = self.call("log_bytes", |tables, _| {
            let there = partitions.iter().filter(|key| tables.partitions.contains_key(key));
            let bytes = |(topic, partition)| {
                tables
                    .rows(topic, partition, Offset(0))
                    .map(|(_, row)| row.range.len())
                    .sum()
            };
            there.map(|key| (*key, bytes(*key))).collect()
        });
        count.await
    }

    async fn topic_bytes(&self) -> Result<BTreeMap<TopicNumber, u64>, MetastoreError> {
        let count = self.call("topic_bytes", |tables, _| {
            let topics = tables.partitions.keys().map(|(topic, _)| (*topic, 0));
            let mut bytes: BTreeMap<TopicNumber, u64> = topics.collect();
            for ((topic, _, _), row) in &tables.log_index {
                if let Some(bytes) = bytes.get_mut(topic) {
                    *bytes += row.range.len();
                }
            }
            bytes
        });
        count.await
    }
}

impl LogEnds {
    fn start_at(&mut self, to: NewLogStart) -> LogStartMove {
        let to = match to {
            NewLogStart::At(offset) => offset,
            NewLogStart::End => self.end,
        };
        if !(Offset(0)..=self.end).contains(&to) {
            return LogStartMove::OutOfRange;
        }
        self.log_start = self.log_start.max(to);
        LogStartMove::StartsAt(self.log_start)
    }
}
