//! Streams in Postgres.

use ::commit::{BatchOutcome, decode_outcomes};
use async_trait::async_trait;
use sqlx::Row;
use types::{NodeId, Slot, SlotSeq, StreamId};

use super::Postgres;
use crate::{MetastoreError, StreamProgress, Streams};

#[async_trait]
impl Streams for Postgres {
    async fn open_stream(&self, stream: StreamId, node: NodeId) -> Result<(), MetastoreError> {
        let statement = "INSERT INTO streams (stream_id, node_id) VALUES ($1, $2) ON CONFLICT (stream_id) DO NOTHING";
        sqlx::query(statement)
            .bind(stream.0)
            .bind(node.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn stream_progress(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Option<StreamProgress>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/streams/progress.sql"))
            .bind(stream.0)
            .bind(to_sql(from))
            .bind(slots_max)
            .fetch_all(&self.pool)
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut progress = StreamProgress {
            next_seq: from_sql(first.try_get("next_seq")?),
            end_seq: first.try_get::<Option<i64>, _>("end_seq")?.map(from_sql),
            outcomes: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            if let Some(seq) = row.try_get::<Option<i64>, _>("seq")? {
                progress
                    .outcomes
                    .push((from_sql(seq), outcomes(row.try_get("outcomes")?)?));
            }
        }
        Ok(Some(progress))
    }

    async fn slot_outcomes(&self, slot: Slot) -> Result<Option<Vec<BatchOutcome>>, MetastoreError> {
        let statement = "SELECT outcomes FROM objects WHERE stream_id = $1 AND seq = $2";
        let row = sqlx::query(statement)
            .bind(slot.stream.0)
            .bind(to_sql(slot.seq))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| outcomes(row.try_get("outcomes")?)).transpose()
    }
}

pub(super) fn outcomes(bytes: Vec<u8>) -> Result<Vec<BatchOutcome>, MetastoreError> {
    decode_outcomes(&bytes).map_err(|error| MetastoreError::Internal(error.to_string()))
}

pub(super) fn to_sql(seq: SlotSeq) -> i64 {
    i64::try_from(seq.0).expect("a stream does not live for 2^63 slots")
}

pub(super) fn from_sql(seq: i64) -> SlotSeq {
    SlotSeq(u64::try_from(seq).expect("the column is checked to be at least 0"))
}
