//! The log index in memory.

use async_trait::async_trait;
use object_format::slot_key;
use types::{Offset, PartitionIndex, TimestampMs, TopicNumber};

use super::Connection;
use super::tables::{IndexEntry, Tables};
use crate::{IndexedRange, LogIndex, MetastoreError, PlannedPartition, WantedRange};

#[async_trait]
impl LogIndex for Connection {
    async fn plan_fetch(&self, wanted: &[WantedRange]) -> Result<Vec<Option<PlannedPartition>>, MetastoreError> {
        let plan = self.call("plan_fetch", |tables, _| {
            wanted.iter().map(|wanted| tables.plan(wanted)).collect()
        });
        plan.await
    }

    async fn range_at_or_after(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        timestamp: TimestampMs,
    ) -> Result<Option<IndexedRange>, MetastoreError> {
        let find = self.call("range_at_or_after", |tables, _| {
            let ends = tables.partitions.get(&(topic, partition))?;
            let mut rows = tables.rows(topic, partition, Offset(0));
            let (base, entry) =
                rows.find(|(_, entry)| entry.next_offset > ends.log_start && entry.max_timestamp >= timestamp)?;
            Some(tables.indexed_range(base, entry))
        });
        find.await
    }
}

impl Tables {
    fn plan(&self, wanted: &WantedRange) -> Option<PlannedPartition> {
        let ends = self.partitions.get(&(wanted.topic, wanted.partition))?;
        let inside = (ends.log_start..ends.end).contains(&wanted.from);
        let ranges = if inside { self.ranges(wanted) } else { Vec::new() };
        Some(PlannedPartition {
            log_start: ends.log_start,
            end: ends.end,
            ranges,
        })
    }

    /// The row that holds the wanted offset and those after it, until they cover the wanted bytes.
    fn ranges(&self, wanted: &WantedRange) -> Vec<IndexedRange> {
        let rows_max = usize::try_from(wanted.rows_max.max(1)).expect("a small number");
        let at_or_before = self.row_at_or_before(wanted.topic, wanted.partition, wanted.from);
        let after = self.rows(wanted.topic, wanted.partition, Offset(wanted.from.0 + 1));
        let near = at_or_before.into_iter().chain(after).take(rows_max);
        let mut bytes_before = 0;
        near.filter(|(_, entry)| entry.next_offset > wanted.from)
            .take_while(|(_, entry)| {
                let goes_on = bytes_before < wanted.bytes_max;
                bytes_before += entry.range.len();
                goes_on
            })
            .map(|(base, entry)| self.indexed_range(base, entry))
            .collect()
    }

    pub(super) fn row_at_or_before(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        offset: Offset,
    ) -> Option<(Offset, &IndexEntry)> {
        let rows = (topic, partition, Offset(0))..=(topic, partition, offset);
        let last = self.log_index.range(rows).next_back();
        last.map(|((_, _, base), entry)| (*base, entry))
    }

    /// Rows of a partition whose base offset is `from` or later.
    pub(super) fn rows(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        from: Offset,
    ) -> impl Iterator<Item = (Offset, &IndexEntry)> {
        let rows = (topic, partition, from)..=(topic, partition, Offset(i64::MAX));
        self.log_index.range(rows).map(|((_, _, base), entry)| (*base, entry))
    }

    fn indexed_range(&self, base_offset: Offset, entry: &IndexEntry) -> IndexedRange {
        let object = &self.objects[&entry.object];
        IndexedRange {
            base_offset,
            next_offset: entry.next_offset,
            object: entry.object,
            key: slot_key(object.slot),
            range: entry.range,
        }
    }
}
