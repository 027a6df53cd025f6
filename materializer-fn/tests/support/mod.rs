//! The function on a real Postgres and a bucket in memory, and the events that reach it.

#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

#[path = "../../../crates/metastore/tests/commit_support/mod.rs"]
mod cluster;
mod faults;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use materializer_fn::error::HandlerError;
use materializer_fn::{Context, DeadLetters, Graces, handler};
use object_format::slot_key;
use serde_json::{Value, json};
use storage::ObjectStore;
use tokio::time::Instant;
use types::{ObjectKey, Slot};

pub(crate) use cluster::{Cluster, TestBatch, batch, records_of, seal, slot};
pub(crate) use faults::FaultyStore;

/// What one pass of the sweep noted counts in the next; orphans are kept.
pub(crate) const GRACES: Graces = Graces {
    stream_ms: 0,
    orphan_ms: 3_600_000,
};

/// A cluster with its function.
pub(crate) struct Function {
    pub(crate) cluster: Cluster,
    pub(crate) context: Arc<Context>,
}

impl Deref for Function {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Function {
    /// Its sweep waits for nothing: what one pass noted counts in the next. Orphans are kept.
    pub(crate) async fn new() -> Self {
        let cluster = Cluster::new().await;
        let store = cluster.store.clone();
        Self::with_store(cluster, store)
    }

    pub(crate) fn with_store(cluster: Cluster, store: Arc<dyn ObjectStore>) -> Self {
        Self::with_graces(cluster, store, GRACES)
    }

    pub(crate) fn with_graces(cluster: Cluster, store: Arc<dyn ObjectStore>, graces: Graces) -> Self {
        let context = Arc::new(Context::new(cluster.metastore.clone(), store, graces));
        Self { cluster, context }
    }

    /// The same, and poison goes there.
    pub(crate) fn with_dead_letters(self, queue: DeadLetters) -> Self {
        let context = Arc::into_inner(self.context).expect("nobody has it yet");
        let context = Arc::new(context.with_dead_letters(Some(queue)));
        Self { context, ..self }
    }

    /// One invocation; its answer as Lambda gets it.
    pub(crate) async fn invoke(&self, event: Value) -> Result<Value, HandlerError> {
        invoke(&self.context, event).await
    }

    /// The same, for events that must succeed.
    pub(crate) async fn answer(&self, event: Value) -> Value {
        self.invoke(event).await.unwrap()
    }

    pub(crate) async fn sweep(&self) -> Value {
        self.answer(json!({"yaks": "sweep/1"})).await
    }
}

pub(crate) async fn invoke(context: &Context, event: Value) -> Result<Value, HandlerError> {
    invoke_within(context, event, Duration::from_secs(20)).await
}

pub(crate) async fn invoke_within(context: &Context, event: Value, limit: Duration) -> Result<Value, HandlerError> {
    let answer = handler::handle(context, event, Instant::now() + limit).await?;
    Ok(serde_json::to_value(answer).expect("answers are JSON"))
}

/// A notification as S3 sends it to a function.
pub(crate) fn s3_event(keys: impl IntoIterator<Item = ObjectKey>) -> Value {
    let mut event = fixture("s3_notification");
    let record = event["Records"][0].clone();
    let records = keys.into_iter().map(|key| {
        let mut record = record.clone();
        record["s3"]["object"]["key"] = key.as_str().into();
        record
    });
    event["Records"] = records.collect();
    event
}

/// A batch of messages as SQS sends it, by their ids.
pub(crate) fn sqs_event(bodies: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut event = fixture("sqs_batch");
    let message = event["Records"][0].clone();
    let messages = bodies.into_iter().map(|(id, body)| {
        let mut message = message.clone();
        message["messageId"] = id.into();
        message["body"] = body.into();
        message
    });
    event["Records"] = messages.collect();
    event
}

/// The same with one object per message; its key is the message's id.
pub(crate) fn sqs_event_of(keys: impl IntoIterator<Item = ObjectKey>) -> Value {
    let message = |key: ObjectKey| (key.to_string(), s3_event([key]).to_string());
    sqs_event(keys.into_iter().map(message))
}

/// An event as EventBridge sends it.
pub(crate) fn event_bridge_event(key: &ObjectKey) -> Value {
    let mut event = fixture("eventbridge_object_created");
    event["detail"]["object"]["key"] = key.as_str().into();
    event
}

/// Ids of the messages that are to be brought again.
pub(crate) fn failures(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array().expect("an answer to SQS");
    failures
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().expect("an id"))
        .collect()
}

pub(crate) fn keys(slots: impl IntoIterator<Item = Slot>) -> Vec<ObjectKey> {
    slots.into_iter().map(slot_key).collect()
}

/// Counts of an answer to S3.
pub(crate) fn counts(counts: &[(&str, usize)]) -> Value {
    json!(counts.iter().copied().collect::<BTreeMap<_, _>>())
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the fixture is there")).expect("JSON")
}
