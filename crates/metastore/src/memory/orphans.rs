//! Orphans in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{Slot, StreamId, TimestampMs};

use super::Connection;
use super::tables::Tables;
use crate::{Backlog, EndedStream, MetastoreError, Orphans};

#[async_trait]
impl Orphans for Connection {
    async fn record_orphans(&self, slots: &[Slot]) -> Result<u64, MetastoreError> {
        let record = self.call("record_orphans", |tables, now| tables.record_orphans(slots, now));
        record.await
    }

    async fn orphan_pending(&self) -> Result<u64, MetastoreError> {
        let orphan = self.call("orphan_pending", |tables, now| {
            let pending = tables.pending_slots.keys().copied();
            let past: Vec<Slot> = pending.filter(|slot| tables.is_past_end(*slot)).collect();
            for slot in &past {
                tables.pending_slots.remove(slot);
                tables.pending_since.remove(slot);
            }
            tables.record_orphans(&past, now)
        });
        orphan.await
    }

    async fn old_orphans(&self, grace_ms: i64, slots_max: i64) -> Result<Vec<Slot>, MetastoreError> {
        let look = self.call("old_orphans", |tables, now| {
            let old = tables
                .orphans
                .iter()
                .filter(|(_, found_at)| found_at.0 <= now.0 - grace_ms);
            let mut old: Vec<(TimestampMs, Slot)> = old.map(|(slot, found_at)| (*found_at, *slot)).collect();
            old.sort_unstable();
            old.truncate(usize::try_from(slots_max).unwrap_or(0));
            old.into_iter().map(|(_, slot)| slot).collect()
        });
        look.await
    }

    async fn forget_orphans(&self, slots: &[Slot]) -> Result<(), MetastoreError> {
        let forget = self.call("forget_orphans", |tables, _| {
            for slot in slots {
                tables.orphans.remove(slot);
            }
        });
        forget.await
    }

    async fn unsearched_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<EndedStream>, MetastoreError> {
        let look = self.call("unsearched_streams", |tables, now| {
            let ended = tables.streams.iter().filter_map(|(stream, row)| {
                let long_ago = row.ended_at.is_some_and(|at| at.0 <= now.0 - grace_ms);
                let end_seq = row.state.end_seq.filter(|_| long_ago && !row.searched)?;
                Some(EndedStream {
                    stream: *stream,
                    end_seq,
                })
            });
            ended.take(usize::try_from(streams_max).unwrap_or(0)).collect()
        });
        look.await
    }

    async fn note_searched(&self, stream: StreamId) -> Result<(), MetastoreError> {
        let note = self.call("note_searched", |tables, _| {
            if let Some(row) = tables.streams.get_mut(&stream) {
                row.searched = true;
            }
        });
        note.await
    }

    async fn backlog(&self) -> Result<Backlog, MetastoreError> {
        let look = self.call("backlog", |tables, now| {
            let oldest = tables.pending_since.values().min();
            let lags = tables.consumer_lags();
            Backlog {
                pending_slots: tables.pending_slots.len() as u64,
                oldest_pending_ms: oldest.map_or(0, |at| u64::try_from(now.0 - at.0).unwrap_or_default()),
                orphans: tables.orphans.len() as u64,
                lag_max: lags.values().copied().max().unwrap_or_default(),
                lag_sum: lags.values().sum(),
            }
        });
        look.await
    }
}

impl Tables {
    fn is_past_end(&self, slot: Slot) -> bool {
        let end = self.streams.get(&slot.stream).and_then(|row| row.state.end_seq);
        end.is_some_and(|end| slot.seq > end)
    }

    /// By group, what it has not committed yet of what can be read.
    fn consumer_lags(&self) -> BTreeMap<&str, u64> {
        let mut lags = BTreeMap::new();
        for ((group, topic, index), stored) in &self.group_offsets {
            let Some(partition) = self.partitions.get(&(*topic, *index)) else {
                continue;
            };
            let from = stored.committed.offset.max(partition.log_start);
            *lags.entry(group.as_str()).or_default() += u64::try_from(partition.end.0 - from.0).unwrap_or_default();
        }
        lags
    }

    fn record_orphans(&mut self, slots: &[Slot], now: TimestampMs) -> u64 {
        let before = self.orphans.len();
        for slot in slots {
            if self.is_past_end(*slot) {
                self.orphans.entry(*slot).or_insert(now);
            }
        }
        (self.orphans.len() - before) as u64
    }
}
