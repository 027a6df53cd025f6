//! Events that come twice, late, reversed, at once, or never: offsets stay contiguous, nothing appears twice, and everybody
//! is told the same.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

use std::collections::BTreeMap;

use commit::BatchOutcome;
use futures::future::join_all;
use metastore::TopicInfo;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use support::{Function, TestBatch, batch, counts, failures, invoke, keys, records_of, s3_event, slot, sqs_event_of};
use types::{Slot, StreamId};

/// A stream of slots that lie in S3, each with two batches for each of two partitions.
struct Written {
    stream: StreamId,
    slots: Vec<Slot>,
    batches: Vec<TestBatch>,
}

async fn written(function: &Function, topic: &TopicInfo, slots: u64) -> Written {
    let stream = function.stream().await;
    let mut written = Written {
        stream,
        slots: (0..slots).map(|seq| slot(stream, seq)).collect(),
        batches: Vec::new(),
    };
    for slot in &written.slots {
        let batches = [
            batch(topic, 0, 2),
            batch(topic, 0, 1),
            batch(topic, 1, 3),
            batch(topic, 1, 1),
        ];
        function.put(*slot, &batches).await;
        written.batches.extend(batches);
    }
    written
}

async fn outcomes(function: &Function, slots: &[Slot]) -> BTreeMap<Slot, Option<Vec<BatchOutcome>>> {
    let mut outcomes = BTreeMap::new();
    for slot in slots {
        outcomes.insert(*slot, function.metastore.slot_outcomes(*slot).await.unwrap());
    }
    outcomes
}

/// Checks that both partitions hold exactly what was written, in the stream's order.
async fn assert_complete(function: &Function, topic: &TopicInfo, written: &Written) {
    for partition in 0..2 {
        assert_eq!(
            function.log(topic, partition).await,
            records_of(&written.batches, partition)
        );
    }
}

#[tokio::test]
async fn an_event_that_comes_twice_changes_nothing_the_second_time() {
    let function = Function::new().await;
    let topic = function.topic("t", 2).await;
    let written = written(&function, &topic, 3).await;
    let event = s3_event(keys(written.slots.clone()));
    let first = function.answer(event.clone()).await;
    let told = outcomes(&function, &written.slots).await;
    assert!(told.values().all(Option::is_some));
    let gets = function.store.gets();
    assert_eq!(function.answer(event).await, first);
    assert_eq!(function.store.gets(), gets, "what is committed is not read again");
    assert_eq!(outcomes(&function, &written.slots).await, told);
    assert_complete(&function, &topic, &written).await;
}

#[tokio::test]
async fn events_in_reverse_commit_everything_with_the_first_of_them() {
    let function = Function::new().await;
    let topic = function.topic("t", 2).await;
    let written = written(&function, &topic, 5).await;
    for slot in written.slots.iter().rev() {
        assert_eq!(
            function.answer(s3_event(keys([*slot]))).await,
            counts(&[("committed", 1)])
        );
        assert_complete(&function, &topic, &written).await;
    }
}

#[tokio::test]
async fn a_slot_whose_predecessor_is_not_there_yet_is_success_for_the_queue_and_commits_later() {
    let function = Function::new().await;
    let topic = function.topic("t", 1).await;
    let stream = function.stream().await;
    let batches = [batch(&topic, 0, 1), batch(&topic, 0, 1)];
    function.put(slot(stream, 1), &batches[1..]).await;
    let early = function.answer(sqs_event_of(keys([slot(stream, 1)]))).await;
    assert_eq!(failures(&early), [""; 0]);
    assert_eq!(function.log(&topic, 0).await, records_of(&[], 0));
    let gets = function.store.gets();

    function.put(slot(stream, 0), &batches[..1]).await;
    function.answer(sqs_event_of(keys([slot(stream, 0)]))).await;
    // Only the new one is read: the footer of the other is in Postgres.
    assert_eq!(function.store.gets(), gets + 1);
    assert_eq!(function.log(&topic, 0).await, records_of(&batches, 0));
}

#[tokio::test]
async fn events_that_never_come_are_made_good_by_a_later_one_of_the_stream() {
    let function = Function::new().await;
    let topic = function.topic("t", 2).await;
    let written = written(&function, &topic, 40).await;
    function.answer(s3_event(keys([written.slots[3]]))).await;
    function.answer(s3_event(keys([written.slots[39]]))).await;
    assert_complete(&function, &topic, &written).await;
}

#[tokio::test]
async fn the_events_of_one_invocation_may_come_in_any_order() {
    let function = Function::new().await;
    let topic = function.topic("t", 2).await;
    let written = written(&function, &topic, 10).await;
    let mut slots = written.slots.clone();
    slots.shuffle(&mut StdRng::seed_from_u64(1));
    slots.push(slots[0]);
    let answer = function.answer(s3_event(keys(slots))).await;
    assert_eq!(answer, counts(&[("committed", 10)]));
    assert_complete(&function, &topic, &written).await;
}

/// Every event comes twice, a tenth of them never, in an order and a grouping of chance, to many invocations at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_invocations_at_once_commit_every_slot_once() {
    for seed in 0..3 {
        let function = Function::new().await;
        let topic = function.topic("t", 2).await;
        let mut random = StdRng::seed_from_u64(seed);
        let (a, b) = (
            written(&function, &topic, 25).await,
            written(&function, &topic, 25).await,
        );
        let mut events: Vec<Slot> = [&a, &b].into_iter().flat_map(|w| w.slots.clone()).collect();
        // The last of each stream comes: somebody has to.
        events.retain(|slot| slot.seq.0 == 24 || random.random_bool(0.9));
        events.extend(events.clone());
        events.shuffle(&mut random);
        let invocations: Vec<_> = events
            .chunks(3)
            .map(|slots| {
                let context = function.context.clone();
                let event = sqs_event_of(keys(slots.to_vec()));
                tokio::spawn(async move { invoke(&context, event).await.unwrap() })
            })
            .collect();
        for answer in join_all(invocations).await {
            assert_eq!(answer.unwrap(), json!({"batchItemFailures": []}), "seed {seed}");
        }
        for partition in 0..2 {
            let log = function.log(&topic, partition).await;
            for written in [&a, &b] {
                let wanted = records_of(&written.batches, partition);
                let found: Vec<u64> = log.iter().copied().filter(|r| wanted.contains(r)).collect();
                assert_eq!(found, wanted, "seed {seed}, stream {}", written.stream);
            }
            assert_eq!(log.len(), 2 * 25 * if partition == 0 { 3 } else { 4 });
        }
    }
}
