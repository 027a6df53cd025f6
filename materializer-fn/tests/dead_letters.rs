//! Poison ends in the dead-letter queue, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod queue;
mod support;

use std::time::{Duration, Instant};

use materializer_fn::DeadLetters;
use materializer_fn::error::HandlerError;
use materializer_fn::limits::LETTER_TIMEOUT;
use queue::{FakeQueue, Letter, s3_settings};
use serde_json::{Value, json};
use support::{Function, batch, counts, failures, invoke_within, keys, s3_event, slot, sqs_event, sqs_event_of};
use tokio::net::TcpListener;
use types::ObjectKey;

/// ARN of the queue in the fixture.
const EVENT_QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:yaks-objects";

struct World {
    queue: FakeQueue,
    function: Function,
}

impl World {
    async fn new() -> Self {
        let queue = FakeQueue::start().await;
        let function = Function::new().await.with_dead_letters(queue.dead_letters());
        Self { queue, function }
    }

    /// As long as SQS is down: every try fails.
    fn sqs_fails(&self, letters: usize) {
        self.queue.refuse("SendMessage", 2 * letters, 503, "ServiceUnavailable");
    }
}

fn letter(body: &str, attributes: &[(&str, &str)]) -> Letter {
    let attributes = attributes.iter();
    let attributes = attributes.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (body.to_owned(), attributes.collect())
}

fn messages<const N: usize>(bodies: [String; N]) -> Value {
    let messages = (0..).zip(bodies);
    sqs_event(messages.map(|(n, body)| (format!("m-{n}"), body)))
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_a_dead_letter_that_says_why_and_its_neighbours_are_committed() {
    let World { queue, function } = World::new().await;
    let topic = function.topic("t", 1).await;
    let first = slot(function.stream().await, 0);
    function.put(first, &[batch(&topic, 0, 1)]).await;
    let event = messages([
        "not JSON".to_owned(),
        json!({"hello": "world"}).to_string(),
        s3_event(keys([first])).to_string(),
    ]);
    assert_eq!(failures(&function.answer(event).await), [""; 0]);
    assert_eq!(function.log(&topic, 0).await.len(), 1);
    let from = |id| [("event_queue", EVENT_QUEUE), ("message_id", id)];
    let (not_json, stranger) = (
        "an SQS message cannot be read: expected ident at line 1 column 2",
        "unknown event: an object with the fields [hello]",
    );
    let expected = [
        letter("not JSON", &[&from("m-0")[..], &[("reason", not_json)]].concat()),
        letter(
            r#"{"hello":"world"}"#,
            &[&from("m-1")[..], &[("reason", stranger)]].concat(),
        ),
    ];
    assert_eq!(queue.letters(), expected);
}

#[tokio::test]
async fn poison_that_cannot_be_sent_comes_again_and_its_neighbours_do_not() {
    let world = World::new().await;
    let event = messages([s3_event([]).to_string(), "not JSON".to_owned()]);
    world.sqs_fails(1);
    assert_eq!(failures(&world.function.answer(event.clone()).await), ["m-1"]);
    assert_eq!((world.queue.letters(), world.queue.refusals_left()), (Vec::new(), 0));
    assert_eq!(failures(&world.function.answer(event).await), [""; 0]);
    assert_eq!(world.queue.letters().len(), 1);
}

#[tokio::test]
async fn a_connection_that_fails_once_fails_no_letter() {
    let World { queue, function } = World::new().await;
    queue.refuse("SendMessage", 1, 500, "InternalFailure");
    assert_eq!(
        failures(&function.answer(messages(["not JSON".to_owned()])).await),
        [""; 0]
    );
    assert_eq!((queue.letters().len(), queue.refusals_left()), (1, 0));
}

#[tokio::test]
async fn a_message_about_junk_is_a_dead_letter_unless_another_object_of_it_may_succeed_later() {
    let World { queue, function } = World::new().await;
    let junk = slot(function.stream().await, 0);
    function
        .put_bytes(junk, b"not an object of ours at all"[..].into())
        .await;
    let junk = keys([junk]).remove(0);
    let foreign = ObjectKey::new("data/readme.txt");
    let event = sqs_event_of([foreign.clone(), junk.clone()]);
    assert_eq!(failures(&function.answer(event).await), [""; 0]);
    let reasons = queue.letters().into_iter().map(|(body, attributes)| {
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(event["Records"][0]["s3"]["object"]["key"], attributes["message_id"]);
        attributes["reason"].clone()
    });
    let mut reasons: Vec<String> = reasons.collect();
    reasons.sort();
    let unreadable = format!("unreadable object {junk}");
    assert_eq!(reasons, ["foreign object data/readme.txt", &unreadable]);

    // Out of time before it was looked at.
    let sound = keys([slot(function.stream().await, 0)]).remove(0);
    let both = messages([s3_event([foreign, sound]).to_string()]);
    let answer = invoke_within(&function.context, both, Duration::ZERO).await.unwrap();
    assert_eq!(failures(&answer), ["m-0"]);
    assert_eq!(queue.letters().len(), 2);
}

#[tokio::test]
async fn a_notification_that_came_without_a_queue_is_a_dead_letter_too() {
    let world = World::new().await;
    let (junk, event) = (json!({"hello": "world"}), s3_event([ObjectKey::new("data/x")]));
    world.sqs_fails(2);
    let error = world.function.invoke(junk.clone()).await.unwrap_err();
    assert!(matches!(error, HandlerError::Event(_)), "{error}");
    let error = world.function.invoke(event.clone()).await.unwrap_err();
    assert!(matches!(error, HandlerError::DeadLetter { .. }), "{error}");
    assert_eq!((world.queue.letters(), world.queue.refusals_left()), (Vec::new(), 0));

    assert_eq!(world.function.answer(junk.clone()).await, counts(&[("dead_letter", 1)]));
    assert_eq!(world.function.answer(event.clone()).await, counts(&[("foreign", 1)]));
    let mut expected = [
        letter(
            &junk.to_string(),
            &[("reason", "unknown event: an object with the fields [hello]")],
        ),
        letter(&event.to_string(), &[("reason", "foreign object data/x")]),
    ];
    expected.sort();
    assert_eq!(world.queue.letters(), expected);
}

#[tokio::test]
async fn who_asks_for_something_hears_what_is_wrong_and_leaves_no_letter() {
    let World { queue, function } = World::new().await;
    let error = function.invoke(json!({"yaks": "commit/9"})).await.unwrap_err();
    assert_eq!(error.to_string(), "unknown event: request \"commit/9\"");
    assert_eq!(queue.letters(), []);
}

#[tokio::test]
async fn an_sqs_that_never_answers_takes_no_more_than_the_time_that_is_there() {
    // It is connected to, and nobody accepts.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/000000000000/dead", silent.local_addr().unwrap());
    let dead_letters = DeadLetters::new(url.parse().unwrap(), s3_settings());
    let function = Function::new().await.with_dead_letters(dead_letters);
    let cases = [
        (Duration::from_millis(100), LETTER_TIMEOUT),
        (Duration::from_secs(60), Duration::from_secs(20)),
    ];
    for (limit, longest) in cases {
        let started = Instant::now();
        let event = messages(["not JSON".to_owned()]);
        let answer = invoke_within(&function.context, event, limit).await.unwrap();
        assert_eq!(failures(&answer), ["m-0"]);
        let took = started.elapsed();
        assert!(took < longest, "{took:?}");
    }
}
