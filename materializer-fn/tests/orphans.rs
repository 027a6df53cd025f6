//! Orphans, on a real Postgres: what lies past a stream's end is found, kept for its grace and then deleted; nothing else is.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use materializer_fn::{Context, Graces};
use object_format::{Kind, slot_key};
use serde_json::{Value, json};
use storage::{GetRange, ObjectStore};
use support::{Cluster, FaultyStore, Function, GRACES, batch, invoke_within, keys, s3_event, seal, slot};
use types::{ClusterId, Slot, StreamId};
use uuid::Uuid;

const NO_GRACE: Graces = Graces {
    stream_ms: 0,
    orphan_ms: 0,
};

fn impatient(cluster: Cluster) -> Function {
    let store = cluster.store.clone();
    Function::with_graces(cluster, store, NO_GRACE)
}

impl Function {
    /// A stream with data in slot 0 that ended at slot 1, and one object past that.
    async fn ended_stream(&self) -> StreamId {
        let topic = self.topic("t", 1).await;
        let stream = self.stream().await;
        for seq in [0, 2] {
            self.put(slot(stream, seq), &[batch(&topic, 0, 1)]).await;
        }
        let tombstone = self.tombstone(slot(stream, 1));
        self.put_bytes(slot(stream, 1), tombstone.tail.clone()).await;
        let footers = [
            self.committer.read_footer(slot(stream, 0)).await.unwrap().unwrap(),
            tombstone,
        ];
        self.commit(footers.into()).await;
        stream
    }

    async fn is_there(&self, slot: Slot) -> bool {
        self.store.get(&slot_key(slot), GetRange::Full).await.is_ok()
    }

    /// What a sweep found and what it deleted.
    async fn orphans_of_sweep(&self) -> (u64, u64) {
        cleared(&self.sweep().await)
    }
}

fn cleared(answer: &Value) -> (u64, u64) {
    let count = |field: &str| answer[field].as_u64().unwrap();
    (count("orphans_found"), count("orphans_deleted"))
}

#[tokio::test]
async fn an_orphan_that_no_event_told_of_is_found_by_one_list_and_deleted() {
    let function = impatient(Cluster::new().await);
    let stream = function.ended_stream().await;
    assert_eq!(function.orphans_of_sweep().await, (1, 0));
    assert_eq!(function.orphans_of_sweep().await, (0, 1));
    assert!(!function.is_there(slot(stream, 2)).await);
    assert!(function.is_there(slot(stream, 0)).await && function.is_there(slot(stream, 1)).await);

    let lists = function.store.lists();
    assert_eq!(function.orphans_of_sweep().await, (0, 0));
    assert_eq!(function.store.lists(), lists, "a stream is searched once");
}

#[tokio::test]
async fn an_orphan_is_kept_for_its_grace() {
    let function = impatient(Cluster::new().await);
    let stream = function.ended_stream().await;
    let patient = Context::new(function.metastore.clone(), function.store.clone(), GRACES);
    function.answer(s3_event(keys([slot(stream, 2)]))).await;
    let swept = invoke_within(&patient, json!({"yaks": "sweep/1"}), Duration::from_secs(10)).await;
    assert_eq!(cleared(&swept.unwrap()), (0, 0));
    assert!(function.is_there(slot(stream, 2)).await);
    assert_eq!(function.orphans_of_sweep().await, (0, 1));
}

#[tokio::test]
async fn what_waited_behind_a_hole_that_became_the_end_is_deleted() {
    let function = impatient(Cluster::new().await);
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    function.put(slot(stream, 1), &[batch(&topic, 0, 1)]).await;
    function.answer(s3_event(keys([slot(stream, 1)]))).await;
    assert_eq!(function.metastore.backlog().await.unwrap().pending_slots, 1);
    assert_eq!(function.orphans_of_sweep().await, (0, 0));
    // This pass ends the stream at slot 0.
    assert_eq!(function.orphans_of_sweep().await, (1, 0));
    assert_eq!(function.metastore.backlog().await.unwrap().pending_slots, 0);
    assert_eq!(function.orphans_of_sweep().await, (0, 1));
    assert!(function.is_there(slot(stream, 0)).await && !function.is_there(slot(stream, 1)).await);
}

#[tokio::test]
async fn tombstones_and_what_cannot_be_read_are_never_deleted() {
    let function = impatient(Cluster::new().await);
    let stream = function.ended_stream().await;
    let [second_tombstone, junk, stranger, empty] = [3, 4, 5, 6].map(|seq| slot(stream, seq));
    let tail = function.tombstone(second_tombstone).tail;
    function.put_bytes(second_tombstone, tail).await;
    function.put_bytes(junk, "no object".into()).await;
    let (foreign, _) = seal(ClusterId(Uuid::new_v4()), stranger, Kind::Data, &[]);
    function.put_bytes(stranger, foreign).await;
    function.put_bytes(empty, Bytes::new()).await;
    assert_eq!(function.orphans_of_sweep().await, (5, 0));
    assert_eq!(function.orphans_of_sweep().await, (0, 1));
    for kept in [second_tombstone, junk, stranger, empty] {
        assert!(function.is_there(kept).await, "{kept}");
    }
    assert_eq!(function.orphans_of_sweep().await, (0, 0));
}

#[tokio::test]
async fn an_orphan_that_s3_does_not_show_is_left_to_the_next_sweep() {
    let cluster = Cluster::new().await;
    let store = FaultyStore::over(cluster.store.clone());
    let function = Function::with_graces(cluster, store.clone(), NO_GRACE);
    let stream = function.ended_stream().await;
    store.fail(slot_key(slot(stream, 2)));
    assert_eq!(function.orphans_of_sweep().await, (1, 0));
    assert_eq!(function.orphans_of_sweep().await, (0, 0));
    store.recover();
    assert_eq!(function.orphans_of_sweep().await, (0, 1));
    assert!(!function.is_there(slot(stream, 2)).await);
}
