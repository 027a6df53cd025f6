//! A log with very many index rows, as if it had been committed slot by slot, written by Postgres itself in a minute or two.

use anyhow::Result;
use metastore::TopicInfo;
use sqlx::{Connection as _, Executor as _, PgConnection};
use types::StreamId;

/// Records of a batch: one index row each.
pub(super) const RECORDS: i64 = 64;
/// A batch's bytes in its object.
pub(super) const BATCH_BYTES: i64 = 66_000;
/// What else is in an object: its footer.
const TAIL_BYTES: i64 = 3000;

/// Objects as commits leave them: each has a batch of every partition, and outcomes that say at which offset.
const OBJECTS: &str = "
    INSERT INTO objects (object_id, stream_id, seq, kind, object_bytes, live_rows, outcomes)
    OVERRIDING SYSTEM VALUE
    SELECT slot + 1, $1, slot, 0, $2 * $4 + $5, $2,
           decode(repeat('00' || encode(int8send(slot * $3), 'hex'), $2::int4), 'hex')
    FROM generate_series(0, $6 - 1) AS slot";

const OBJECT_IDS: &str = "SELECT setval(pg_get_serial_sequence('objects', 'object_id'), $1)";

/// Rows in the order in which they would have been written, slot by slot: neighbours of one partition lie far apart in the table.
const ROWS: &str = "
    INSERT INTO log_index (topic_number, partition_index, base_offset, next_offset, object_id, byte_start, byte_count,
                           max_timestamp_ms)
    SELECT $1, n % $2, n / $2 * $3, (n / $2 + 1) * $3, n / $2 + 1, n % $2 * $4, $4, n / $2
    FROM generate_series(0, $2 * $5 - 1) AS n";

const PARTITIONS: &str = "
    UPDATE partitions SET next_offset = $2 * $3, max_timestamp_ms = $2 - 1, log_bytes = $2 * $4 WHERE topic_number = $1";

const STREAM: &str = "UPDATE streams SET next_seq = $2 WHERE stream_id = $1";

/// Writes `slots` slots of `stream` with a batch for every partition of `topic`. Afterwards Postgres has nothing left to do for them.
pub(super) async fn fill(connection: &mut PgConnection, stream: StreamId, topic: &TopicInfo, slots: i64) -> Result<()> {
    let partitions = i64::from(topic.partition_count);
    let mut transaction = connection.begin().await?;
    sqlx::query(OBJECTS)
        .bind(stream.0)
        .bind(partitions)
        .bind(RECORDS)
        .bind(BATCH_BYTES)
        .bind(TAIL_BYTES)
        .bind(slots)
        .execute(&mut *transaction)
        .await?;
    let next = sqlx::query(OBJECT_IDS).bind(slots);
    next.execute(&mut *transaction).await?;
    sqlx::query(ROWS)
        .bind(topic.number.0)
        .bind(partitions)
        .bind(RECORDS)
        .bind(BATCH_BYTES)
        .bind(slots)
        .execute(&mut *transaction)
        .await?;
    let moved = sqlx::query(PARTITIONS).bind(topic.number.0);
    moved
        .bind(slots)
        .bind(RECORDS)
        .bind(BATCH_BYTES)
        .execute(&mut *transaction)
        .await?;
    let moved = sqlx::query(STREAM).bind(stream.0);
    moved.bind(slots).execute(&mut *transaction).await?;
    transaction.commit().await?;
    settle(connection).await
}

/// What autovacuum and the next checkpoint would do sooner or later, in the middle of what is measured.
async fn settle(connection: &mut PgConnection) -> Result<()> {
    for statement in [
        "VACUUM (ANALYZE) log_index",
        "VACUUM (ANALYZE) objects",
        "VACUUM (ANALYZE) partitions",
        "CHECKPOINT",
    ] {
        connection.execute(statement).await?;
    }
    Ok(())
}
