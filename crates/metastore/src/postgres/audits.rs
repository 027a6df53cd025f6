//! The audit's pages out of Postgres.

use ::commit::StreamState;
use async_trait::async_trait;
use object_format::{Kind, slot_key};
use sqlx::Row;
use sqlx::postgres::PgRow;
use types::{ByteRange, ObjectId, ObjectKey, Offset, PartitionIndex, Slot, SlotSeq, StreamId, TopicId, TopicNumber};
use uuid::Uuid;

use super::Postgres;
use super::streams::{from_sql, outcomes, to_sql};
use crate::{
    AuditedObject, AuditedPartition, AuditedRow, AuditedRows, AuditedSlot, AuditedStream, Audits, MetastoreError,
    RowThere,
};

#[async_trait]
impl Audits for Postgres {
    async fn last_object(&self) -> Result<ObjectId, MetastoreError> {
        let statement = "SELECT coalesce(max(object_id), 0) FROM objects";
        let last = sqlx::query_scalar(statement).fetch_one(&self.pool).await?;
        Ok(ObjectId(last))
    }

    async fn audited_objects(
        &self,
        after: ObjectId,
        to: ObjectId,
        objects_max: i64,
    ) -> Result<Vec<AuditedObject>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/audits/objects.sql"))
            .bind(after.0)
            .bind(to.0)
            .bind(objects_max)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(object).collect()
    }

    async fn audited_partitions(
        &self,
        after: Option<(TopicNumber, PartitionIndex)>,
        partitions_max: i64,
    ) -> Result<Vec<AuditedPartition>, MetastoreError> {
        let statement = "SELECT topic_number, partition_index, name FROM partitions JOIN topics USING (topic_number) \
             WHERE (topic_number, partition_index) > ($1, $2) ORDER BY topic_number, partition_index LIMIT $3";
        let (topic, partition) = after.map_or((-1, -1), |(topic, partition)| (topic.0, partition.0));
        let rows = sqlx::query(statement)
            .bind(topic)
            .bind(partition)
            .bind(partitions_max)
            .fetch_all(&self.pool)
            .await?;
        let partition = |row: &PgRow| {
            Ok(AuditedPartition {
                topic: TopicNumber(row.try_get("topic_number")?),
                topic_name: row.try_get("name")?,
                partition: PartitionIndex(row.try_get("partition_index")?),
            })
        };
        rows.iter().map(partition).collect()
    }

    async fn audited_rows(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        from: Option<Offset>,
        rows_max: i64,
    ) -> Result<Option<AuditedRows>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/audits/rows.sql"))
            .bind(topic.0)
            .bind(partition.0)
            .bind(from.map(|from| from.0))
            .bind(rows_max)
            .fetch_all(&self.pool)
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut found = AuditedRows {
            log_start: Offset(first.try_get("log_start_offset")?),
            end: Offset(first.try_get("end_offset")?),
            rows: Vec::new(),
        };
        for row in &rows {
            if row.try_get::<Option<i64>, _>("base_offset")?.is_some() {
                found.rows.push(index_row(row)?);
            }
        }
        Ok(Some(found))
    }

    async fn rows_there(
        &self,
        at: &[(TopicId, PartitionIndex, Offset)],
    ) -> Result<Vec<Option<RowThere>>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/audits/rows_there.sql"))
            .bind(at.iter().map(|(topic, _, _)| topic.0).collect::<Vec<_>>())
            .bind(at.iter().map(|(_, partition, _)| partition.0).collect::<Vec<_>>())
            .bind(at.iter().map(|(_, _, offset)| offset.0).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut found = vec![None; at.len()];
        for row in &rows {
            let n = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or(usize::MAX);
            if let Some(place) = found.get_mut(n) {
                *place = Some(row_there(row)?);
            }
        }
        Ok(found)
    }

    async fn audited_slots(&self, slots: &[Slot]) -> Result<Vec<AuditedSlot>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/audits/slots.sql"))
            .bind(slots.iter().map(|slot| slot.stream.0).collect::<Vec<_>>())
            .bind(slots.iter().map(|slot| to_sql(slot.seq)).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(slot_known).collect()
    }

    async fn audited_streams(
        &self,
        after: Option<StreamId>,
        streams_max: i64,
    ) -> Result<Vec<AuditedStream>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/audits/streams.sql"))
            .bind(after.map(|stream| stream.0))
            .bind(streams_max)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(stream).collect()
    }
}

fn object(row: &PgRow) -> Result<AuditedObject, MetastoreError> {
    Ok(AuditedObject {
        id: ObjectId(row.try_get("object_id")?),
        key: key(row)?,
        slot: slot(row)?,
        kind: kind(row.try_get("kind")?)?,
        is_doomed: row.try_get::<i16, _>("state")? != 0,
        object_bytes: unsigned(row.try_get("object_bytes")?),
        live_rows: row.try_get("live_rows")?,
        outcomes: outcomes(row.try_get("outcomes")?)?,
        stream_end: seq(row, "end_seq")?,
    })
}

fn index_row(row: &PgRow) -> Result<AuditedRow, MetastoreError> {
    let found: Option<i64> = row.try_get("found_id")?;
    Ok(AuditedRow {
        base_offset: Offset(row.try_get("base_offset")?),
        next_offset: Offset(row.try_get("next_offset")?),
        object: ObjectId(row.try_get("object_id")?),
        range: range(row.try_get("byte_start")?, row.try_get("byte_count")?),
        key: found.map(|_| key(row)).transpose()?,
        is_backed: row.try_get("is_backed")?,
    })
}

fn row_there(row: &PgRow) -> Result<RowThere, MetastoreError> {
    let found: Option<i64> = row.try_get("object_id")?;
    let there = |id| {
        let range = range(row.try_get("byte_start")?, row.try_get("byte_count")?);
        Ok::<_, MetastoreError>((Offset(row.try_get("next_offset")?), ObjectId(id), range))
    };
    Ok(RowThere {
        topic_name: row.try_get("name")?,
        log_start: Offset(row.try_get("log_start_offset")?),
        row: found.map(there).transpose()?,
    })
}

fn slot_known(row: &PgRow) -> Result<AuditedSlot, MetastoreError> {
    let next_seq = seq(row, "next_seq")?;
    let end_seq = seq(row, "end_seq")?;
    let found: Option<i16> = row.try_get("kind")?;
    let object = |number| Ok::<_, MetastoreError>((kind(number)?, unsigned(row.try_get("object_bytes")?)));
    Ok(AuditedSlot {
        stream: next_seq.map(|next_seq| StreamState { next_seq, end_seq }),
        object: found.map(object).transpose()?,
    })
}

fn stream(row: &PgRow) -> Result<AuditedStream, MetastoreError> {
    let end_kind: Option<i16> = row.try_get("end_kind")?;
    Ok(AuditedStream {
        stream: StreamId(row.try_get("stream_id")?),
        state: StreamState {
            next_seq: from_sql(row.try_get("next_seq")?),
            end_seq: seq(row, "end_seq")?,
        },
        last_seq: seq(row, "last_seq")?,
        end_kind: end_kind.map(kind).transpose()?,
    })
}

fn key(row: &PgRow) -> Result<ObjectKey, MetastoreError> {
    match (row.try_get::<Option<String>, _>("object_key")?, slot(row)?) {
        (Some(key), _) => Ok(ObjectKey::new(key)),
        (None, Some(slot)) => Ok(slot_key(slot)),
        (None, None) => Err(MetastoreError::Internal(
            "an object has neither slot nor key".to_owned(),
        )),
    }
}

fn slot(row: &PgRow) -> Result<Option<Slot>, MetastoreError> {
    let stream: Option<Uuid> = row.try_get("stream_id")?;
    let seq = seq(row, "seq")?;
    Ok(stream.zip(seq).map(|(stream, seq)| Slot {
        stream: StreamId(stream),
        seq,
    }))
}

fn seq(row: &PgRow, column: &str) -> Result<Option<SlotSeq>, MetastoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(from_sql))
}

fn kind(number: i16) -> Result<Kind, MetastoreError> {
    match number {
        0 => Ok(Kind::Data),
        1 => Ok(Kind::Tombstone),
        2 => Ok(Kind::Merged),
        other => Err(MetastoreError::Internal(format!("object of kind {other}"))),
    }
}

fn range(start: i32, count: i32) -> ByteRange {
    let start = unsigned(i64::from(start));
    ByteRange {
        start,
        end: start + unsigned(i64::from(count)),
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
