//! The commit in memory: the same three steps as in SQL. The tables' one lock stands for the row locks.

use std::collections::{BTreeMap, BTreeSet};

use ::commit::{Decision, LockedState, PartitionState, SlotFooter, decide};
use async_trait::async_trait;
use types::{ObjectId, PartitionIndex, SlotSeq, StreamId, TimestampMs, TopicId, TopicNumber};

use super::Connection;
use super::streams::slots_from;
use super::tables::{IndexEntry, Object, Tables};
use crate::{Commits, MetastoreError, Transacted};

#[async_trait]
impl Commits for Connection {
    async fn commit_transaction(
        &self,
        slots: &[SlotFooter],
        producer_expiry_ms: i64,
    ) -> Result<Transacted, MetastoreError> {
        let commit = self.call("commit_transaction", |tables, now| {
            let mut state = tables.read(slots, now, producer_expiry_ms);
            let earlier = slots
                .iter()
                .filter_map(|footer| Some((footer.slot(), tables.outcomes(footer.slot())?)))
                .collect();
            let decision = decide(&mut state, slots);
            tables.check_keys(&decision)?;
            tables.write(&state, &decision);
            Ok(Transacted {
                pending: tables.pending(state.streams.keys()),
                streams: state.streams,
                decision,
                earlier,
            })
        });
        commit.await?
    }

    async fn pending_slots(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Vec<SlotFooter>, MetastoreError> {
        let look = self.call("pending_slots", |tables, _| {
            let kept = tables.pending_slots.range(slots_from(stream, from));
            let slots_max = usize::try_from(slots_max).unwrap_or(0);
            kept.take(slots_max).map(|(_, footer)| footer.clone()).collect()
        });
        look.await
    }

    async fn keep_pending(
        &self,
        stream: StreamId,
        gate: SlotSeq,
        slots: &[SlotFooter],
    ) -> Result<bool, MetastoreError> {
        let keep = self.call("keep_pending", |tables, now| {
            let found = tables.streams.get(&stream).map(|row| row.state.next_seq);
            if found != Some(gate) {
                return false;
            }
            for footer in slots {
                tables
                    .pending_slots
                    .entry(footer.slot())
                    .or_insert_with(|| footer.clone());
                tables.pending_since.entry(footer.slot()).or_insert(now);
            }
            true
        });
        keep.await
    }
}

impl Tables {
    /// What the footers name.
    fn read(&self, slots: &[SlotFooter], now: TimestampMs, producer_expiry_ms: i64) -> LockedState {
        let mut state = LockedState {
            now,
            producer_expiry_ms,
            streams: BTreeMap::new(),
            partitions: BTreeMap::new(),
            producers: BTreeMap::new(),
        };
        let numbers: BTreeMap<TopicId, TopicNumber> = self
            .topics
            .values()
            .map(|topic| (topic.info.id, topic.info.number))
            .collect();
        for slot in slots {
            let stream = slot.slot().stream;
            if let Some(row) = self.streams.get(&stream) {
                state.streams.insert(stream, row.state);
            }
            for batch in &slot.footer.batches {
                let topic_id = slot.footer.topics[batch.topic as usize].id;
                let Some(&topic) = numbers.get(&topic_id) else { continue };
                let Some(partition) = self.partition_state(topic, batch.partition) else {
                    continue;
                };
                state.partitions.insert((topic_id, batch.partition), partition);
                let producer = (topic, batch.partition, batch.producer_id);
                if let Some(known) = self.producer_state.get(&producer) {
                    state.producers.insert(producer, known.clone());
                }
            }
        }
        state
    }

    fn partition_state(&self, topic: TopicNumber, partition: PartitionIndex) -> Option<PartitionState> {
        let ends = self.partitions.get(&(topic, partition))?;
        Some(PartitionState {
            topic,
            next_offset: ends.end,
            max_timestamp: ends.max_timestamp,
        })
    }

    /// The unique keys that stand behind gate and offsets, before anything is written.
    fn check_keys(&self, decision: &Decision) -> Result<(), MetastoreError> {
        let twice = |what: String| MetastoreError::Internal(format!("duplicate key: {what}"));
        if let Some(object) = decision
            .objects
            .iter()
            .find(|object| self.objects_by_slot.contains_key(&object.slot))
        {
            return Err(twice(format!("object of slot {}", object.slot)));
        }
        let taken = decision.rows.iter().find(|row| {
            self.log_index
                .contains_key(&(row.topic, row.partition, row.base_offset))
        });
        match taken {
            Some(row) => Err(twice(format!("index row at offset {}", row.base_offset))),
            None => Ok(()),
        }
    }

    fn write(&mut self, state: &LockedState, decision: &Decision) {
        for object in &decision.objects {
            let id = ObjectId(self.objects.last_key_value().map_or(0, |(last, _)| last.0) + 1);
            let row = Object {
                slot: object.slot,
                kind: object.kind,
                object_bytes: object.object_bytes,
                live_rows: object.live_rows,
                outcomes: object.outcomes.clone(),
            };
            self.objects.insert(id, row);
            self.objects_by_slot.insert(object.slot, id);
            self.pending_slots.remove(&object.slot);
            self.pending_since.remove(&object.slot);
        }
        for row in &decision.rows {
            let entry = IndexEntry {
                next_offset: row.next_offset,
                object: self.objects_by_slot[&row.slot],
                range: row.range,
                max_timestamp: row.max_timestamp,
            };
            self.log_index
                .insert((row.topic, row.partition, row.base_offset), entry);
        }
        self.write_changed(state, decision);
    }

    fn write_changed(&mut self, state: &LockedState, decision: &Decision) {
        for key in &decision.partitions {
            let changed = state.partitions[key];
            if let Some(ends) = self.partitions.get_mut(&(changed.topic, key.1)) {
                ends.end = changed.next_offset;
                ends.max_timestamp = changed.max_timestamp;
            }
        }
        for key in &decision.producers {
            self.producer_state.insert(*key, state.producers[key].clone());
        }
        for stream in &decision.streams {
            if let Some(row) = self.streams.get_mut(stream) {
                row.state = state.streams[stream];
                if row.state.end_seq.is_some() {
                    row.ended_at = row.ended_at.or(Some(state.now));
                }
            }
        }
    }

    /// Which slots of `streams` wait.
    fn pending<'a>(&self, streams: impl Iterator<Item = &'a StreamId>) -> BTreeMap<StreamId, BTreeSet<SlotSeq>> {
        let waiting = |stream: &StreamId| -> BTreeSet<SlotSeq> {
            let kept = self.pending_slots.range(slots_from(*stream, SlotSeq(0)));
            kept.map(|(slot, _)| slot.seq).collect()
        };
        streams.map(|stream| (*stream, waiting(stream))).collect()
    }
}
