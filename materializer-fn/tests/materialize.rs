//! One invocation: what it commits, what it answers, what it leaves for later.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

use std::time::Duration;

use commit::BatchOutcome::Appended;
use commit::SlotFooter;
use commit::invoke::{COMMIT_REQUEST_V1, CommitRequest, CommitRequestSlot, CommitResponse, SlotResult};
use materializer_fn::Context;
use materializer_fn::error::HandlerError;
use metastore::{Metastore, PostgresConfig};
use object_format::{Kind, slot_key};
use private_postgres::free_port;
use serde_json::{Value, json};
use storage::ObjectStore;
use support::{
    Cluster, FaultyStore, Function, GRACES, TestBatch, batch, counts, event_bridge_event, failures, invoke_within,
    keys, records_of, s3_event, seal, slot, sqs_event, sqs_event_of,
};
use types::{ClusterId, ObjectKey, Offset, Slot, StreamId};
use uuid::Uuid;

fn request(slots: &[SlotFooter]) -> Value {
    let slots = slots.iter().map(|slot| CommitRequestSlot {
        key: slot_key(slot.slot()),
        object_bytes: slot.object_bytes,
        footer: slot.tail.clone(),
    });
    json!(CommitRequest {
        yaks: COMMIT_REQUEST_V1.to_owned(),
        slots: slots.collect(),
    })
}

fn results(answer: Value) -> Vec<SlotResult> {
    let response: CommitResponse = serde_json::from_value(answer).unwrap();
    response.slots.into_iter().map(|slot| slot.result).collect()
}

#[tokio::test]
async fn every_wrapping_of_the_news_commits_the_object() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let batches: Vec<TestBatch> = (0..4).map(|_| batch(&topic, 0, 2)).collect();
    let mut keys = Vec::new();
    for (seq, one) in batches.iter().enumerate() {
        let slot = slot(stream, seq as u64);
        function.put(slot, std::slice::from_ref(one)).await;
        keys.push(slot_key(slot));
    }
    let body = |event: Value| sqs_event([("m".to_owned(), event.to_string())]);
    let committed = counts(&[("committed", 1)]);
    assert_eq!(function.answer(s3_event([keys[0].clone()])).await, committed);
    assert_eq!(function.answer(event_bridge_event(&keys[1])).await, committed);
    for event in [s3_event([keys[2].clone()]), event_bridge_event(&keys[3])] {
        assert_eq!(function.answer(body(event)).await, json!({"batchItemFailures": []}));
    }
    // One suffix-range GET of each, whatever the wrapping.
    assert_eq!(function.store.gets(), 4);
    assert_eq!(function.log(&topic, 0).await, records_of(&batches, 0));
}

/// Objects of all kinds that are not to be committed, and the fault that keeps one from it.
struct Zoo {
    function: Function,
    store: std::sync::Arc<FaultyStore>,
    topic: metastore::TopicInfo,
    sound: [Slot; 2],
    poison: Vec<ObjectKey>,
    unavailable: Slot,
    newer: Slot,
}

impl Zoo {
    async fn new() -> Self {
        let cluster = Cluster::new().await;
        let store = FaultyStore::over(cluster.store.clone());
        let topic = cluster.topic("t", 1).await;
        let mut streams = Vec::new();
        for _ in 0..8 {
            streams.push(cluster.stream().await);
        }
        let first = |n: usize| slot(streams[n], 0);
        let one = || [batch(&topic, 0, 1)];
        let mut poison = Vec::new();

        let sound = [first(0), first(1)];
        for slot in sound {
            cluster.put(slot, &one()).await;
        }
        let (mut damaged, _) = seal(cluster.id, first(2), Kind::Data, &one()).into_mut();
        let crc_at = damaged.len() - 20;
        damaged[crc_at] ^= 1;
        cluster.put_bytes(first(2), damaged.into()).await;
        cluster
            .put_bytes(first(3), b"not an object of ours at all"[..].into())
            .await;
        cluster.put_bytes(first(4), bytes::Bytes::new()).await;
        let strangers = ClusterId(Uuid::new_v4());
        cluster
            .put_bytes(first(5), seal(strangers, first(5), Kind::Data, &one()).0)
            .await;
        poison.extend(keys((2..6).map(first)));

        let unknown = slot(StreamId(Uuid::now_v7()), 0);
        cluster.put(unknown, &one()).await;
        let gone = slot(streams[0], 7);
        poison.extend(keys([unknown, gone]));
        poison.push(ObjectKey::new("data/readme.txt"));

        let unavailable = first(6);
        cluster.put(unavailable, &one()).await;
        store.fail(slot_key(unavailable));
        let newer = first(7);
        cluster.put_bytes(newer, newer_object()).await;
        Self {
            function: Function::with_store(cluster, store.clone()),
            store,
            topic,
            sound,
            poison,
            unavailable,
            newer,
        }
    }

    fn keys(&self) -> Vec<ObjectKey> {
        let others = keys([self.unavailable, self.newer]);
        let mut keys = keys([self.sound[0]]);
        keys.extend(self.poison.iter().cloned());
        keys.extend(others);
        keys.push(slot_key(self.sound[1]));
        keys
    }
}

trait IntoMut {
    fn into_mut(self) -> (Vec<u8>, SlotFooter);
}

impl IntoMut for (bytes::Bytes, SlotFooter) {
    fn into_mut(self) -> (Vec<u8>, SlotFooter) {
        (self.0.to_vec(), self.1)
    }
}

/// The trailer of format version 2; what lies before it only a later build can tell.
fn newer_object() -> bytes::Bytes {
    let mut trailer = [0; 24];
    trailer[8..10].copy_from_slice(&2u16.to_be_bytes());
    let crc = crc32c::crc32c(&trailer[..12]);
    trailer[12..16].copy_from_slice(&crc.to_be_bytes());
    trailer[16..].copy_from_slice(&object_format::MAGIC);
    bytes::Bytes::copy_from_slice(&trailer)
}

#[tokio::test]
async fn a_queue_gets_back_exactly_what_may_succeed_later() {
    let zoo = Zoo::new().await;
    let function = &zoo.function;
    let answer = function.answer(sqs_event_of(zoo.keys())).await;
    let (unavailable, newer) = (slot_key(zoo.unavailable), slot_key(zoo.newer));
    assert_eq!(failures(&answer), [unavailable.as_str(), newer.as_str()]);
    for slot in zoo.sound {
        assert!(function.metastore.slot_outcomes(slot).await.unwrap().is_some());
    }
    zoo.store.recover();
    let answer = function.answer(sqs_event_of([unavailable, newer.clone()])).await;
    assert_eq!(failures(&answer), [newer.as_str()]);
    assert_eq!(function.log(&zoo.topic, 0).await.len(), 3);
}

#[tokio::test]
async fn a_plain_event_fails_as_a_whole_after_all_else_is_committed() {
    let zoo = Zoo::new().await;
    let function = &zoo.function;
    let mut keys = zoo.keys();
    keys.retain(|key| *key != slot_key(zoo.newer));
    let error = function.invoke(s3_event(keys.clone())).await.unwrap_err();
    assert!(matches!(error, HandlerError::Objects { failed: 1, .. }), "{error}");
    assert_eq!(function.log(&zoo.topic, 0).await.len(), 2);

    zoo.store.recover();
    let fates = [
        ("committed", 3),
        ("foreign", 1),
        ("gone", 1),
        ("unknown_stream", 1),
        ("unreadable", 4),
    ];
    assert_eq!(function.answer(s3_event(keys)).await, counts(&fates));
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_dropped_and_its_neighbours_are_not() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let first = slot(function.stream().await, 0);
    function.put(first, &[batch(&topic, 0, 1)]).await;
    let bodies = [
        "not JSON".to_owned(),
        json!({"hello": "world"}).to_string(),
        s3_event(keys([first])).to_string(),
    ];
    let messages = (0..).zip(bodies).map(|(n, body)| (format!("m-{n}"), body));
    let answer = function.answer(sqs_event(messages)).await;
    assert_eq!(failures(&answer), [""; 0]);
    assert_eq!(function.log(&topic, 0).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_event_is_an_error_and_a_trial_is_none() {
    let function = Function::new().await;
    let error = function.invoke(json!({"hello": "world"})).await.unwrap_err();
    assert_eq!(error.to_string(), "unknown event: an object with the fields [hello]");
    let trial = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"});
    assert_eq!(function.answer(trial).await, Value::Null);
}

#[tokio::test]
async fn without_postgres_slots_come_back_and_strangers_do_not() {
    let cluster = Cluster::new().await;
    let nobody = Metastore::new(&PostgresConfig {
        port: free_port().unwrap(),
        ..cluster.postgres().clone()
    });
    let context = Context::new(nobody, cluster.store.clone(), GRACES);
    let key = slot_key(slot(StreamId(Uuid::now_v7()), 0));
    let event = sqs_event_of([key.clone(), ObjectKey::new("data/x")]);
    let limit = Duration::from_millis(300);
    let answer = invoke_within(&context, event, limit).await.unwrap();
    assert_eq!(failures(&answer), [key.as_str()]);
}

#[tokio::test]
async fn what_the_deadline_cuts_off_is_given_back_and_committed_next_time() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let slots = [slot(stream, 0), slot(stream, 1)];
    for slot in slots {
        function.put(slot, &[batch(&topic, 0, 1)]).await;
    }
    let event = sqs_event_of(keys(slots));
    let cut = invoke_within(&function.context, event.clone(), Duration::ZERO).await;
    assert_eq!(failures(&cut.unwrap()).len(), 2);
    assert_eq!(failures(&function.answer(event).await), [""; 0]);
    assert_eq!(function.log(&topic, 0).await.len(), 2);
}

#[tokio::test]
async fn an_agents_request_is_answered_with_offsets_and_reads_no_object() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let batches: Vec<TestBatch> = (0..3).map(|_| batch(&topic, 0, 2)).collect();
    let mut slots = Vec::new();
    for (seq, one) in batches.iter().enumerate() {
        slots.push(function.put(slot(stream, seq as u64), std::slice::from_ref(one)).await);
    }
    let committed = |offset| SlotResult::Committed(vec![Appended(Offset(offset))]);
    assert_eq!(
        results(function.answer(request(&slots[..2])).await),
        [committed(0), committed(2)]
    );
    // Again, with one more.
    assert_eq!(
        results(function.answer(request(&slots)).await),
        [committed(0), committed(2), committed(4)]
    );
    assert_eq!(function.store.gets(), 0);
    assert_eq!(function.log(&topic, 0).await, records_of(&batches, 0));
}

#[tokio::test]
async fn each_slot_of_a_request_has_its_own_answer_in_its_place() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let one = || [batch(&topic, 0, 1)];
    let sound = function.footer(slot(stream, 0), &one());
    let early = function.footer(slot(stream, 9), &one());
    let nobodys = function.footer(slot(StreamId(Uuid::now_v7()), 0), &one());
    let foreign = seal(ClusterId(Uuid::new_v4()), slot(stream, 1), Kind::Data, &one()).1;
    let mut event = request(&[early, foreign, sound.clone(), nobodys, sound]);
    event["slots"][4]["key"] = "data/x".into();
    let found = results(function.answer(event).await);
    assert_eq!(found[0], SlotResult::Pending);
    assert!(
        matches!(&found[1], SlotResult::Rejected(why) if why.contains("cluster")),
        "{found:?}"
    );
    assert_eq!(found[2], SlotResult::Committed(vec![Appended(Offset(0))]));
    assert_eq!(found[3], SlotResult::UnknownStream);
    assert!(
        matches!(&found[4], SlotResult::Rejected(why) if why.contains("data/x")),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_object_that_was_deleted_is_no_reason_to_come_back() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let first = slot(function.stream().await, 0);
    function.put(first, &[batch(&topic, 0, 1)]).await;
    function.store.delete(&slot_key(first)).await.unwrap();
    assert_eq!(function.answer(s3_event(keys([first]))).await, counts(&[("gone", 1)]));
}
