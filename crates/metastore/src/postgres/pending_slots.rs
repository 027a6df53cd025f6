//! Pending slots in Postgres: kept beside their stream's gate, read when it has moved.

use ::commit::SlotFooter;
use bytes::Bytes;
use object_format::decode_footer;
use sqlx::Row;
use types::{SlotSeq, StreamId};

use super::Postgres;
use super::streams::{from_sql, to_sql};
use super::transaction::Transaction;
use crate::MetastoreError;

impl Postgres {
    pub(super) async fn read_pending(
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

    pub(super) async fn write_pending(
        &self,
        stream: StreamId,
        gate: SlotSeq,
        slots: &[SlotFooter],
    ) -> Result<bool, MetastoreError> {
        let mut transaction = self.begin().await?;
        // A commit of this stream is waited for here, and the next one waits for us and then sees what we kept. Without
        // the lock each could miss the other, and the slots would wait for the stream's next event.
        let found: Option<i64> = sqlx::query_scalar("SELECT next_seq FROM streams WHERE stream_id = $1 FOR SHARE")
            .bind(stream.0)
            .fetch_optional(&mut transaction)
            .await?;
        if found.map(from_sql) != Some(gate) {
            transaction.rollback().await?;
            return Ok(false);
        }
        insert_pending(&mut transaction, slots).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

async fn insert_pending(transaction: &mut Transaction, slots: &[SlotFooter]) -> Result<(), MetastoreError> {
    let statement = "INSERT INTO pending_slots (stream_id, seq, object_bytes, footer) \
         SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::bytea[]) ON CONFLICT DO NOTHING";
    let object_bytes = slots.iter().map(|slot| slot.object_bytes.cast_signed());
    sqlx::query(statement)
        .bind(slots.iter().map(|slot| slot.slot().stream.0).collect::<Vec<_>>())
        .bind(slots.iter().map(|slot| to_sql(slot.slot().seq)).collect::<Vec<_>>())
        .bind(object_bytes.collect::<Vec<_>>())
        .bind(slots.iter().map(|slot| slot.tail.to_vec()).collect::<Vec<_>>())
        .execute(transaction)
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
