//! The sweep, on a real Postgres: what agents left behind is committed and their streams end; nobody else is disturbed.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use materializer_fn::{Context, Graces};
use metastore::NewAgent;
use object_format::{Kind, slot_key};
use serde_json::{Value, json};
use storage::{ObjectStore, PutOutcome};
use support::{Cluster, FaultyStore, Function, batch, counts, invoke_within, keys, records_of, s3_event, seal, slot};
use types::{ClusterId, NodeId, SlotSeq, StreamId};
use uuid::Uuid;

impl Function {
    async fn end(&self, stream: StreamId) -> Option<u64> {
        let progress = self.metastore.stream_progress(stream, SlotSeq(0), 0).await.unwrap();
        progress.unwrap().end_seq.map(|end| end.0)
    }
}

fn summary(streams: usize, committed_slots: u64, ended: usize, failed: usize) -> Value {
    json!({
        "streams": streams, "committed_slots": committed_slots, "ended": ended, "failed": failed,
        "orphans_found": 0, "orphans_deleted": 0,
    })
}

#[tokio::test]
async fn what_landed_without_events_is_committed_and_the_stream_ends_a_pass_later() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let batches: Vec<_> = (0..40).map(|_| batch(&topic, 0, 1)).collect();
    for (seq, one) in batches.iter().enumerate() {
        function.put(slot(stream, seq as u64), std::slice::from_ref(one)).await;
    }
    assert_eq!(function.sweep().await, summary(1, 40, 0, 0));
    assert_eq!(function.log(&topic, 0).await, records_of(&batches, 0));
    assert_eq!(function.end(stream).await, None);

    assert_eq!(function.sweep().await, summary(1, 0, 1, 0));
    assert_eq!(function.end(stream).await, Some(40));
    // Whoever wakes up and wants that slot meets the tombstone.
    let (late, _) = seal(function.id, slot(stream, 40), Kind::Data, &[batch(&topic, 0, 1)]);
    let put = function.store.put_if_absent(&slot_key(slot(stream, 40)), late).await;
    assert_eq!(put.unwrap(), PutOutcome::AlreadyExists);

    assert_eq!(function.sweep().await, summary(0, 0, 0, 0));
    assert_eq!(function.store.lists(), 0);
}

#[tokio::test]
async fn a_stream_that_moved_between_two_passes_is_given_another_one() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    assert_eq!(function.sweep().await, summary(1, 0, 0, 0));
    function.put(slot(stream, 0), &[batch(&topic, 0, 1)]).await;
    function.answer(s3_event(keys([slot(stream, 0)]))).await;
    assert_eq!(function.sweep().await, summary(1, 0, 0, 0));
    assert_eq!(function.sweep().await, summary(1, 0, 1, 0));
    assert_eq!(function.end(stream).await, Some(1));
}

#[tokio::test]
async fn slots_past_the_end_are_orphans_and_never_commit() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let batches = [batch(&topic, 0, 1), batch(&topic, 0, 1)];
    function.put(slot(stream, 0), &batches[..1]).await;
    function.put(slot(stream, 2), &batches[1..]).await;
    let past = s3_event(keys([slot(stream, 2)]));
    assert_eq!(function.answer(past.clone()).await, counts(&[("pending", 1)]));
    function.sweep().await;
    function.sweep().await;
    assert_eq!(function.end(stream).await, Some(1));
    assert_eq!(function.answer(past).await, counts(&[("orphan", 1)]));
    assert_eq!(function.log(&topic, 0).await, records_of(&batches[..1], 0));
}

#[tokio::test]
async fn the_stream_of_a_live_lease_is_left_alone_until_the_lease_is_gone() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    function.put(slot(stream, 0), &[batch(&topic, 0, 1)]).await;
    let agent = NewAgent {
        node_id: Some(NodeId(0)),
        incarnation: Uuid::new_v4(),
        stream: Some(stream),
        host: "localhost".to_owned(),
        port: 9092,
        rack: String::new(),
        cache_url: String::new(),
        peer_address: String::new(),
        listeners: Vec::new(),
    };
    function.metastore.take_lease(&agent, 60_000).await.unwrap();
    assert_eq!(function.sweep().await, summary(0, 0, 0, 0));
    // Not even looked at.
    assert_eq!(function.store.gets() + function.store.lists(), 0);

    let released = function.metastore.release_lease(NodeId(0), agent.incarnation);
    released.await.unwrap();
    assert_eq!(function.sweep().await, summary(1, 1, 0, 0));
}

#[tokio::test]
async fn a_young_stream_is_left_alone() {
    let function = Function::new().await;
    function.stream().await;
    let graces = Graces {
        stream_ms: 60_000,
        orphan_ms: 60_000,
    };
    let patient = Context::new(function.metastore.clone(), function.store.clone(), graces);
    let answer = invoke_within(&patient, json!({"yaks": "sweep/1"}), Duration::from_secs(10)).await;
    assert_eq!(answer.unwrap(), summary(0, 0, 0, 0));
}

#[tokio::test]
async fn a_put_that_beats_the_tombstone_keeps_the_stream_open_and_commits() {
    let cluster = Cluster::new().await;
    let store = FaultyStore::over(cluster.store.clone());
    let function = Function::with_store(cluster, store.clone());
    let topic = function.topic("t", 1).await;
    let first = slot(function.stream().await, 0);
    let batches = [batch(&topic, 0, 1)];
    function.sweep().await;
    store.race(slot_key(first), seal(function.id, first, Kind::Data, &batches).0);
    assert_eq!(function.sweep().await, summary(1, 0, 0, 0));
    assert_eq!(function.end(first.stream).await, None);
    assert_eq!(function.sweep().await, summary(1, 1, 0, 0));
    assert_eq!(function.log(&topic, 0).await, records_of(&batches, 0));
    assert_eq!(function.sweep().await, summary(1, 0, 1, 0));
}

#[tokio::test]
async fn a_tombstone_whose_row_was_never_written_is_committed_by_the_next_pass() {
    let function = Function::new().await;
    let first = slot(function.stream().await, 0);
    let tombstone = function.tombstone(first);
    function.put_bytes(first, tombstone.tail).await;
    assert_eq!(function.sweep().await, summary(1, 0, 1, 0));
    assert_eq!(function.end(first.stream).await, Some(0));
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_does_not_keep_others_from_ending() {
    let cluster = Cluster::new().await;
    let store = FaultyStore::over(cluster.store.clone());
    let function = Function::with_store(cluster, store.clone());
    let (stuck, away, sound) = (
        function.stream().await,
        function.stream().await,
        function.stream().await,
    );
    let (stranger, _) = seal(ClusterId(Uuid::new_v4()), slot(stuck, 0), Kind::Data, &[]);
    function.put_bytes(slot(stuck, 0), stranger).await;
    store.fail(slot_key(slot(away, 0)));
    assert_eq!(function.sweep().await, summary(3, 0, 0, 2));
    assert_eq!(function.sweep().await, summary(3, 0, 1, 2));
    assert_eq!(function.end(sound).await, Some(0));

    store.recover();
    assert_eq!(function.sweep().await, summary(2, 0, 1, 1));
    assert_eq!((function.end(stuck).await, function.end(away).await), (None, Some(0)));
}

#[tokio::test]
async fn a_sweep_that_runs_out_of_time_says_so_and_the_next_one_goes_on() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    function.put(slot(stream, 0), &[batch(&topic, 0, 1)]).await;
    let slow = Arc::clone(&function.context);
    slow.committer().await.unwrap();
    let answer = invoke_within(&slow, json!({"yaks": "sweep/1"}), Duration::ZERO).await;
    assert_eq!(answer.unwrap(), summary(1, 0, 0, 1));
    assert_eq!(function.sweep().await, summary(1, 1, 0, 0));
}

#[tokio::test]
async fn sweeps_that_overlap_end_a_stream_once() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let batches = [batch(&topic, 0, 2)];
    function.put(slot(stream, 0), &batches).await;
    function.sweep().await;
    futures::future::join_all((0..4).map(|_| function.sweep())).await;
    assert_eq!(function.end(stream).await, Some(1));
    assert_eq!(function.log(&topic, 0).await, records_of(&batches, 0));
}
