//! What the sweep needs of Postgres: streams that nobody holds open any more.

use sqlx::Row;
use types::{SlotSeq, StreamId};
use uuid::Uuid;

use crate::streams::{from_sql, to_sql};
use crate::{Metastore, MetastoreError};

/// A stream without an end that no live lease names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadStream {
    /// The stream.
    pub stream: StreamId,
    /// The slot that commits next.
    pub next_seq: SlotSeq,
    /// Whether an earlier pass, at least a grace period ago, saw the gate where it stands now.
    pub stood_still: bool,
}

impl Metastore {
    /// Dead streams, at most `streams_max`. A stream counts only once it is older than the grace period: its agent may
    /// not have taken its lease yet. Those not swept yet come first and those that have stood still longest come last:
    /// streams that cannot be ended would otherwise keep the rest from ever being looked at. Work is proportional to
    /// what is open.
    pub async fn dead_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<DeadStream>, MetastoreError> {
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

    /// Notes that a pass saw `stream`'s gate at `seq`; the time of the first such pass stays.
    pub async fn note_swept(&self, stream: StreamId, seq: SlotSeq) -> Result<(), MetastoreError> {
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
