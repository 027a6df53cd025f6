//! Orphans in Postgres.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, Row};
use types::{Slot, StreamId};
use uuid::Uuid;

use super::Postgres;
use super::streams::{from_sql, to_sql};
use crate::{Backlog, EndedStream, MetastoreError, Orphans};

#[async_trait]
impl Orphans for Postgres {
    async fn record_orphans(&self, slots: &[Slot]) -> Result<u64, MetastoreError> {
        let (streams, seqs) = columns(slots);
        let recorded = sqlx::query(include_str!("queries/orphans/record.sql"))
            .bind(streams)
            .bind(seqs)
            .execute(&self.pool)
            .await?;
        Ok(recorded.rows_affected())
    }

    async fn orphan_pending(&self) -> Result<u64, MetastoreError> {
        let moved = sqlx::query(include_str!("queries/orphans/from_pending.sql"))
            .execute(&self.pool)
            .await?;
        Ok(moved.rows_affected())
    }

    async fn old_orphans(&self, grace_ms: i64, slots_max: i64) -> Result<Vec<Slot>, MetastoreError> {
        let statement = "SELECT stream_id, seq FROM orphans WHERE found_at <= now() - make_interval(secs => $1 / 1000.0) \
             ORDER BY found_at, stream_id, seq LIMIT $2";
        let rows = sqlx::query(statement)
            .bind(grace_ms as f64)
            .bind(slots_max)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(slot).collect::<Result<_, _>>()?)
    }

    async fn forget_orphans(&self, slots: &[Slot]) -> Result<(), MetastoreError> {
        let statement = "DELETE FROM orphans o USING unnest($1::uuid[], $2::int8[]) AS done (stream_id, seq) \
             WHERE o.stream_id = done.stream_id AND o.seq = done.seq";
        let (streams, seqs) = columns(slots);
        sqlx::query(statement)
            .bind(streams)
            .bind(seqs)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn unsearched_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<EndedStream>, MetastoreError> {
        let rows = sqlx::query(include_str!("queries/orphans/unsearched.sql"))
            .bind(grace_ms as f64)
            .bind(streams_max)
            .fetch_all(&self.pool)
            .await?;
        let ended = |row: &PgRow| {
            Ok(EndedStream {
                stream: StreamId(row.try_get("stream_id")?),
                end_seq: from_sql(row.try_get("end_seq")?),
            })
        };
        rows.iter().map(ended).collect()
    }

    async fn note_searched(&self, stream: StreamId) -> Result<(), MetastoreError> {
        let statement = "UPDATE streams SET searched_at = now() WHERE stream_id = $1 AND searched_at IS NULL";
        sqlx::query(statement).bind(stream.0).execute(&self.pool).await?;
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, MetastoreError> {
        let statement = include_str!("queries/orphans/backlog.sql");
        let row = sqlx::query(statement).fetch_one(&self.pool).await?;
        let count = |column| Ok::<_, Error>(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default());
        Ok(Backlog {
            pending_slots: count("pending")?,
            oldest_pending_ms: count("oldest_ms")?,
            orphans: count("orphans")?,
            lag_max: count("lag_max")?,
            lag_sum: count("lag_sum")?,
        })
    }
}

fn columns(slots: &[Slot]) -> (Vec<Uuid>, Vec<i64>) {
    slots.iter().map(|slot| (slot.stream.0, to_sql(slot.seq))).unzip()
}

fn slot(row: &PgRow) -> Result<Slot, Error> {
    Ok(Slot {
        stream: StreamId(row.try_get("stream_id")?),
        seq: from_sql(row.try_get("seq")?),
    })
}
