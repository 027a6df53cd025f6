//! The audit's pages out of the tables in memory.

use ::commit::BatchOutcome;
use async_trait::async_trait;
use object_format::slot_key;
use types::{ObjectId, Offset, PartitionIndex, Slot, StreamId, TopicId, TopicNumber};

use super::Connection;
use super::streams::slots_from;
use super::tables::{IndexEntry, Object, Stream, Tables};
use crate::{
    AuditedObject, AuditedPartition, AuditedRow, AuditedRows, AuditedSlot, AuditedStream, Audits, MetastoreError,
    RowThere,
};

#[async_trait]
impl Audits for Connection {
    async fn last_object(&self) -> Result<ObjectId, MetastoreError> {
        let look = self.call("last_object", |tables, _| {
            tables.objects.last_key_value().map_or(ObjectId(0), |(id, _)| *id)
        });
        look.await
    }

    async fn audited_objects(
        &self,
        after: ObjectId,
        to: ObjectId,
        objects_max: i64,
    ) -> Result<Vec<AuditedObject>, MetastoreError> {
        let look = self.call("audited_objects", |tables, _| {
            let objects = tables
                .objects
                .range(ObjectId(after.0 + 1)..)
                .take_while(|(id, _)| **id <= to);
            objects
                .take(limit(objects_max))
                .map(|(id, row)| tables.audited_object(*id, row))
                .collect()
        });
        look.await
    }

    async fn audited_partitions(
        &self,
        after: Option<(TopicNumber, PartitionIndex)>,
        partitions_max: i64,
    ) -> Result<Vec<AuditedPartition>, MetastoreError> {
        let look = self.call("audited_partitions", |tables, _| {
            let later = tables
                .partitions
                .keys()
                .filter(|key| after.is_none_or(|after| **key > after));
            let partition = |&(topic, partition): &(TopicNumber, PartitionIndex)| AuditedPartition {
                topic,
                topic_name: tables.name_of(topic),
                partition,
            };
            later.take(limit(partitions_max)).map(partition).collect()
        });
        look.await
    }

    async fn audited_rows(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        from: Option<Offset>,
        rows_max: i64,
    ) -> Result<Option<AuditedRows>, MetastoreError> {
        let look = self.call("audited_rows", |tables, _| {
            let ends = tables.partitions.get(&(topic, partition))?;
            let from = from.unwrap_or(ends.log_start);
            let near = tables.row_at_or_before(topic, partition, from).into_iter();
            let near = near.chain(tables.rows(topic, partition, Offset(from.0 + 1)).take(limit(rows_max)));
            let rows = near.filter(|(_, row)| row.next_offset > from);
            Some(AuditedRows {
                log_start: ends.log_start,
                end: ends.end,
                rows: rows.map(|(base, row)| tables.audited_row(base, row)).collect(),
            })
        });
        look.await
    }

    async fn rows_there(
        &self,
        at: &[(TopicId, PartitionIndex, Offset)],
    ) -> Result<Vec<Option<RowThere>>, MetastoreError> {
        let look = self.call("rows_there", |tables, _| {
            at.iter().map(|at| tables.row_there(*at)).collect()
        });
        look.await
    }

    async fn audited_slots(&self, slots: &[Slot]) -> Result<Vec<AuditedSlot>, MetastoreError> {
        let look = self.call("audited_slots", |tables, _| {
            let known = |slot: &Slot| AuditedSlot {
                stream: tables.streams.get(&slot.stream).map(|row| row.state),
                object: tables.object_in(*slot).map(|row| (row.kind, row.object_bytes)),
            };
            slots.iter().map(known).collect()
        });
        look.await
    }

    async fn audited_streams(
        &self,
        after: Option<StreamId>,
        streams_max: i64,
    ) -> Result<Vec<AuditedStream>, MetastoreError> {
        let look = self.call("audited_streams", |tables, _| {
            let later = tables
                .streams
                .iter()
                .filter(|(id, _)| after.is_none_or(|after| **id > after));
            later
                .take(limit(streams_max))
                .map(|(id, row)| tables.audited_stream(*id, row))
                .collect()
        });
        look.await
    }
}

impl Tables {
    fn audited_object(&self, id: ObjectId, row: &Object) -> AuditedObject {
        AuditedObject {
            id,
            key: slot_key(row.slot),
            slot: Some(row.slot),
            kind: row.kind,
            is_doomed: false,
            object_bytes: row.object_bytes,
            live_rows: row.live_rows,
            outcomes: row.outcomes.clone(),
            stream_end: self
                .streams
                .get(&row.slot.stream)
                .and_then(|stream| stream.state.end_seq),
        }
    }

    fn audited_row(&self, base_offset: Offset, row: &IndexEntry) -> AuditedRow {
        let object = self.objects.get(&row.object);
        AuditedRow {
            base_offset,
            next_offset: row.next_offset,
            object: row.object,
            range: row.range,
            key: object.map(|object| slot_key(object.slot)),
            is_backed: object.is_some_and(|object| object.outcomes.contains(&BatchOutcome::Appended(base_offset))),
        }
    }

    fn row_there(&self, (topic, partition, base): (TopicId, PartitionIndex, Offset)) -> Option<RowThere> {
        let info = self.live_topics().find(|info| info.id == topic)?;
        let ends = self.partitions.get(&(info.number, partition))?;
        let row = self.log_index.get(&(info.number, partition, base));
        Some(RowThere {
            topic_name: info.name.to_string(),
            log_start: ends.log_start,
            row: row.map(|row| (row.next_offset, row.object, row.range)),
        })
    }

    fn audited_stream(&self, stream: StreamId, row: &Stream) -> AuditedStream {
        let last = self.objects_by_slot.range(slots_from(stream, 0.into())).next_back();
        let end = row.state.end_seq.and_then(|seq| self.object_in(Slot { stream, seq }));
        AuditedStream {
            stream,
            state: row.state,
            last_seq: last.map(|(slot, _)| slot.seq),
            end_kind: end.map(|object| object.kind),
        }
    }

    fn object_in(&self, slot: Slot) -> Option<&Object> {
        self.objects.get(self.objects_by_slot.get(&slot)?)
    }

    fn name_of(&self, topic: TopicNumber) -> String {
        self.topics
            .get(&topic)
            .map(|row| row.info.name.to_string())
            .unwrap_or_default()
    }
}

fn limit(rows_max: i64) -> usize {
    usize::try_from(rows_max).unwrap_or(0)
}
