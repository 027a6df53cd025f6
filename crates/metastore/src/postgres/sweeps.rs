//! The sweep's questions to Postgres.

use async_trait::async_trait;
use sqlx::Row;
use types::{SlotSeq, StreamId};
use uuid::Uuid;

use super::Postgres;
use super::streams::{from_sql, to_sql};
use crate::{DeadStream, MetastoreError, Sweeps};

#[async_trait]
impl Sweeps for Postgres {
    async fn dead_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<DeadStream>, MetastoreError> {
        let statement = "SELECT stream_id, next_seq, \
                    coalesce(swept_seq = next_seq AND swept_at <= now() - make_interval(secs => $1 / 1000.0), false) \
                    AS stood_still \
             FROM streams s \
             WHERE end_seq IS NULL AND opened_at <= now() - make_interval(secs => $1 / 1000.0) \
               AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.stream_id = s.stream_id AND a.lease_expires_at > now()) \
             ORDER BY swept_at DESC NULLS FIRST, stream_id LIMIT $2";
        let rows = sqlx::query(statement)
            .bind(grace_ms as f64)
            .bind(streams_max)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DeadStream {
                    stream: StreamId(row.try_get::<Uuid, _>("stream_id")?),
                    next_seq: from_sql(row.try_get("next_seq")?),
                    stood_still: row.try_get("stood_still")?,
                })
            })
            .collect()
    }

    async fn note_swept(&self, stream: StreamId, seq: SlotSeq) -> Result<(), MetastoreError> {
        let statement = "UPDATE streams SET swept_seq = $2, swept_at = now() \
             WHERE stream_id = $1 AND end_seq IS NULL AND swept_seq IS DISTINCT FROM $2";
        sqlx::query(statement)
            .bind(stream.0)
            .bind(to_sql(seq))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
