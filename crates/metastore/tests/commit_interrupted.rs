//! Commits that are cut off, on a real Postgres: cancelled, disconnected, or overtaken at the worst moment.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod commit_support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use commit::BatchOutcome::{Appended, Duplicate};
use commit::SlotFooter;
use commit::invoke::SlotResult;
use commit_support::{Cluster, CutOff, batch, slot};
use metastore::{Committer, Metastore, PostgresConfig};
use object_format::slot_key;
use sqlx::{PgPool, Postgres, Transaction};
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use types::{NodeId, ObjectKey, Offset, Slot, StreamId};
use uuid::Uuid;

async fn count(raw: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(raw).await.unwrap()
}

const OBJECTS: &str = "SELECT count(*) FROM objects";
const ROWS: &str = "SELECT count(*) FROM log_index";

/// Waits until a statement of this database waits for a lock; the id of its process.
async fn lock_waiter(raw: &PgPool) -> i32 {
    let statement = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    loop {
        if let Some(pid) = sqlx::query_scalar(statement).fetch_optional(raw).await.unwrap() {
            return pid;
        }
        tokio::task::yield_now().await;
    }
}

/// A commit that has locked and read, and stands before its writes.
struct Halted {
    cluster: Cluster,
    raw: PgPool,
    blocker: Transaction<'static, Postgres>,
    footer: SlotFooter,
    commit: JoinHandle<SlotResult>,
    pid: i32,
}

async fn halted() -> Halted {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let first = slot(cluster.stream().await, 0);
    let footer = cluster.put(first, &[batch(&topic, 0, 3)]).await;
    let raw = PgPool::connect(&cluster.url()).await.unwrap();
    let mut blocker = raw.begin().await.unwrap();
    // Lets the reading statement pass, but no insert.
    sqlx::query("LOCK TABLE objects IN EXCLUSIVE MODE")
        .execute(&mut *blocker)
        .await
        .unwrap();
    let commit = tokio::spawn(commit_one(cluster.committer.clone(), footer.clone()));
    let pid = lock_waiter(&raw).await;
    Halted {
        cluster,
        raw,
        blocker,
        footer,
        commit,
        pid,
    }
}

async fn commit_one(committer: Committer, footer: SlotFooter) -> SlotResult {
    let slot = footer.slot();
    let mut results = committer.commit(vec![footer]).await.unwrap();
    results.remove(&slot).unwrap()
}

#[tokio::test]
async fn a_commit_that_is_dropped_before_it_wrote_leaves_nothing() {
    let halted = halted().await;
    halted.commit.abort();
    assert!(halted.commit.await.unwrap_err().is_cancelled());
    halted.blocker.rollback().await.unwrap();
    assert_eq!(count(&halted.raw, OBJECTS).await + count(&halted.raw, ROWS).await, 0);
    // Its locks are gone too, and its offsets were never given to anybody.
    let again = commit_one(halted.cluster.committer.clone(), halted.footer).await;
    assert_eq!(again, SlotResult::Committed(vec![Appended(Offset(0))]));
    assert_eq!(
        (count(&halted.raw, OBJECTS).await, count(&halted.raw, ROWS).await),
        (1, 1)
    );
}

#[tokio::test]
async fn a_commit_whose_connection_dies_is_done_again_once() {
    let halted = halted().await;
    let killed: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1)")
        .bind(halted.pid)
        .fetch_one(&halted.raw)
        .await
        .unwrap();
    assert!(killed);
    halted.blocker.rollback().await.unwrap();
    let result = halted.commit.await.unwrap();
    assert_eq!(result, SlotResult::Committed(vec![Appended(Offset(0))]));
    assert_eq!(
        (count(&halted.raw, OBJECTS).await, count(&halted.raw, ROWS).await),
        (1, 1)
    );
}

#[tokio::test]
async fn a_commit_that_waited_for_a_lock_decides_by_what_its_holder_wrote() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let first = batch(&topic, 0, 3).of(7, 0, 0);
    cluster.outcomes(slot(cluster.stream().await, 0), &[first]).await;
    let raw = PgPool::connect(&cluster.url()).await.unwrap();
    let mut holder = raw.begin().await.unwrap();
    for statement in [
        "UPDATE partitions SET next_offset = 10",
        "UPDATE producer_state SET base_sequences = '{0,0,0,0,3}', record_counts = '{0,0,0,3,3}', base_offsets = '{0,0,0,0,7}'",
    ] {
        sqlx::query(statement).execute(&mut *holder).await.unwrap();
    }
    let again_and_new = [batch(&topic, 0, 3).of(7, 0, 3), batch(&topic, 0, 1)];
    let waiting = cluster.put(slot(cluster.stream().await, 0), &again_and_new).await;
    let commit = tokio::spawn(commit_one(cluster.committer.clone(), waiting));
    lock_waiter(&raw).await;
    holder.commit().await.unwrap();
    let result = commit.await.unwrap();
    assert_eq!(
        result,
        SlotResult::Committed(vec![Duplicate(Offset(7)), Appended(Offset(10))])
    );
}

/// A bucket in which `taken` is free, and whoever asks for it is overtaken: by the time he hears so, somebody else
/// has put an object there and stands in the middle of committing it, having looked for pending slots already.
#[derive(Debug)]
struct Overtaken {
    bucket: MemoryStore,
    taken: Slot,
    raw: PgPool,
    overtaker: Mutex<Option<JoinHandle<()>>>,
}

impl Overtaken {
    async fn overtake(&self) {
        let mut other = self.raw.begin().await.unwrap();
        for statement in [
            "SELECT 1 FROM streams WHERE stream_id = $1 FOR NO KEY UPDATE",
            "UPDATE streams SET next_seq = 1 WHERE stream_id = $1",
            "INSERT INTO objects (stream_id, seq, kind, object_bytes, live_rows, outcomes) VALUES ($1, 0, 0, 9, 0, '')",
        ] {
            sqlx::query(statement)
                .bind(self.taken.stream.0)
                .execute(&mut *other)
                .await
                .unwrap();
        }
        let raw = self.raw.clone();
        let finish = tokio::spawn(async move {
            // Long enough for the overtaken one to go wrong, if it does not wait for us.
            let _waits = timeout(Duration::from_secs(1), lock_waiter(&raw)).await;
            other.commit().await.unwrap();
        });
        *self.overtaker.lock().unwrap() = Some(finish);
    }
}

#[async_trait]
impl ObjectStore for Overtaken {
    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        if *key == slot_key(self.taken) {
            self.overtake().await;
        }
        self.bucket.get(key, range).await
    }

    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        self.bucket.put_if_absent(key, body).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        self.bucket.list(prefix, start_after).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.bucket.delete(key).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.bucket.check().await
    }
}

#[tokio::test]
async fn a_slot_is_not_forgotten_when_its_predecessor_commits_while_it_is_being_kept() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let store = Arc::new(Overtaken {
        bucket: MemoryStore::new(),
        taken: slot(stream, 0),
        raw: PgPool::connect(&cluster.url()).await.unwrap(),
        overtaker: Mutex::new(None),
    });
    let committer = Committer::new(cluster.metastore.clone(), store.clone(), cluster.id);
    let second = cluster.footer(slot(stream, 1), &[batch(&topic, 0, 1)]);
    let result = commit_one(committer, second).await;
    let overtaker = store.overtaker.lock().unwrap().take();
    overtaker.expect("the hole was looked at").await.unwrap();
    // The other one has not seen it, so that nobody but the one who keeps it can commit it.
    assert_eq!(result, SlotResult::Committed(vec![Appended(Offset(0))]));
}

#[tokio::test]
async fn a_slot_without_batches_waits_for_its_stream_as_any_other_does() {
    let cluster = Cluster::new().await;
    let end = cluster.tombstone(slot(cluster.stream().await, 0));
    let raw = PgPool::connect(&cluster.url()).await.unwrap();
    let mut other = raw.begin().await.unwrap();
    let statement = "WITH it AS (INSERT INTO objects (stream_id, seq, kind, object_bytes, live_rows, outcomes) \
                     VALUES ($1, 0, 1, 9, 0, '')) UPDATE streams SET next_seq = 1, end_seq = 0 WHERE stream_id = $1";
    sqlx::query(statement)
        .bind(end.slot().stream.0)
        .execute(&mut *other)
        .await
        .unwrap();
    let commit = tokio::spawn(commit_one(cluster.committer.clone(), end));
    lock_waiter(&raw).await;
    other.commit().await.unwrap();
    assert_eq!(commit.await.unwrap(), SlotResult::Committed(vec![]));
    assert_eq!(count(&raw, OBJECTS).await, 1);
}

/// Found by the histories: a BEGIN that was dropped half-way left its transaction open on a connection of the pool, and
/// what the next caller wrote there was acknowledged and lost.
#[tokio::test]
async fn nothing_is_written_into_a_transaction_that_somebody_left_open() {
    let cluster = Cluster::new().await;
    let postgres = PostgresConfig {
        pool_size: 1,
        ..cluster.postgres().clone()
    };
    let metastore = Metastore::new(&postgres);
    let raw = PgPool::connect(&cluster.url()).await.unwrap();
    for polls in 1..20 {
        for at_once in [true, false] {
            let end = [cluster.tombstone(slot(cluster.stream().await, 0))];
            let commit = metastore.commit_transaction(&end, 0);
            let _cut_off = CutOff::new(commit, polls, at_once).await;
            let stream = StreamId(Uuid::now_v7());
            metastore.open_stream(stream, NodeId(0)).await.unwrap();
            let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM streams WHERE stream_id = $1")
                .bind(stream.0)
                .fetch_one(&raw)
                .await
                .unwrap();
            assert_eq!(rows, 1, "after {polls} polls, at once: {at_once}");
        }
    }
}
