//! Streams: one row per incarnation of an agent, which gates its slots.

use ::commit::{BatchOutcome, SlotFooter, decode_outcomes};
use bytes::Bytes;
use object_format::decode_footer;
use sqlx::{PgConnection, Row};
use types::{NodeId, Slot, SlotSeq, StreamId};

use crate::{Metastore, MetastoreError};

/// How far a stream is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamProgress {
    /// The slot that commits next.
    pub next_seq: SlotSeq,
    /// The committed tombstone's slot, if the stream has ended.
    pub end_seq: Option<SlotSeq>,
    /// Outcomes of committed slots, in order, from the one asked for on.
    pub outcomes: Vec<(SlotSeq, Vec<BatchOutcome>)>,
}

impl Metastore {
    /// Writes the stream's row; must have succeeded before the stream's first PUT (docs/ARCHITECTURE.md).
    pub async fn open_stream(&self, stream: StreamId, node: NodeId) -> Result<(), MetastoreError> {
        let statement = "INSERT INTO streams (stream_id, node_id) VALUES ($1, $2) ON CONFLICT (stream_id) DO NOTHING";
        sqlx::query(statement)
            .bind(stream.0)
            .bind(node.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How far `stream` is, with outcomes of at most `slots_max` committed slots from `from` on. `None`: no such stream.
    pub async fn stream_progress(
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

    /// Footers of pending slots of `stream` in `from..`, in order, at most `slots_max`.
    pub(crate) async fn pending_slots(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Vec<SlotFooter>, MetastoreError> {
        let statement =
            "SELECT object_bytes, footer FROM pending_slots WHERE stream_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let rows = sqlx::query(statement)
            .bind(stream.0)
            .bind(to_sql(from))
            .bind(slots_max)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let object_bytes = u64::try_from(row.try_get::<i64, _>("object_bytes")?).unwrap_or_default();
                let tail = Bytes::from(row.try_get::<Vec<u8>, _>("footer")?);
                pending_footer(tail, object_bytes)
            })
            .collect()
    }

    /// Keeps the footers of slots of `stream` behind a missing one at `gate`. False, and nothing is kept, when the gate
    /// stands there no more: whoever moved it looked for pending slots before these were there.
    pub(crate) async fn keep_pending(
        &self,
        stream: StreamId,
        gate: SlotSeq,
        slots: &[SlotFooter],
    ) -> Result<bool, MetastoreError> {
        let mut transaction = self.pool.begin().await?;
        // A commit of this stream is waited for here, and the next one waits for us and then sees what we kept. Without
        // the lock each could miss the other, and the slots would wait for the stream's next event.
        let found: Option<i64> = sqlx::query_scalar("SELECT next_seq FROM streams WHERE stream_id = $1 FOR SHARE")
            .bind(stream.0)
            .fetch_optional(&mut *transaction)
            .await?;
        if found.map(from_sql) != Some(gate) {
            transaction.rollback().await?;
            return Ok(false);
        }
        insert_pending(&mut transaction, slots).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Outcomes of one committed slot; `None` when it is not committed.
    pub async fn slot_outcomes(&self, slot: Slot) -> Result<Option<Vec<BatchOutcome>>, MetastoreError> {
        let statement = "SELECT outcomes FROM objects WHERE stream_id = $1 AND seq = $2";
        let row = sqlx::query(statement)
            .bind(slot.stream.0)
            .bind(to_sql(slot.seq))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| outcomes(row.try_get("outcomes")?)).transpose()
    }
}

async fn insert_pending(connection: &mut PgConnection, slots: &[SlotFooter]) -> Result<(), MetastoreError> {
    let statement = "INSERT INTO pending_slots (stream_id, seq, object_bytes, footer) \
         SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::bytea[]) ON CONFLICT DO NOTHING";
    let object_bytes = slots.iter().map(|slot| slot.object_bytes.cast_signed());
    sqlx::query(statement)
        .bind(slots.iter().map(|slot| slot.slot().stream.0).collect::<Vec<_>>())
        .bind(slots.iter().map(|slot| to_sql(slot.slot().seq)).collect::<Vec<_>>())
        .bind(object_bytes.collect::<Vec<_>>())
        .bind(slots.iter().map(|slot| slot.tail.to_vec()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

fn pending_footer(tail: Bytes, object_bytes: u64) -> Result<SlotFooter, MetastoreError> {
    let body_bytes = object_bytes.saturating_sub(tail.len() as u64);
    let footer = decode_footer(&tail, body_bytes)
        .map_err(|error| MetastoreError::Internal(format!("footer of a pending slot: {error}")))?;
    Ok(SlotFooter {
        footer: footer.into(),
        tail,
        object_bytes,
    })
}

pub(crate) fn outcomes(bytes: Vec<u8>) -> Result<Vec<BatchOutcome>, MetastoreError> {
    decode_outcomes(&bytes).map_err(|error| MetastoreError::Internal(error.to_string()))
}

pub(crate) fn to_sql(seq: SlotSeq) -> i64 {
    i64::try_from(seq.0).expect("a stream does not live for 2^63 slots")
}

pub(crate) fn from_sql(seq: i64) -> SlotSeq {
    SlotSeq(u64::try_from(seq).expect("the column is checked to be at least 0"))
}
