//! S3's event notifications and the queue they go through. An event may be lost, doubled, late and out of order; a message that
//! was received comes back unless it is deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use types::ObjectKey;

use crate::plan::EventFaults;
use crate::random::Dice;
use crate::scribe::Scribe;

/// Most messages of one delivery, as SQS has it.
const BATCH_MESSAGES_MAX: usize = 10;

/// How long a message that was received stays invisible: a little longer than an invocation may take.
pub const VISIBILITY: Duration = Duration::from_secs(12);

/// The bucket itself; tells the queue of every object that is created.
#[derive(Debug)]
pub struct TellingBucket {
    /// What holds the objects.
    pub objects: Arc<MemoryStore>,
    /// Where the events go.
    pub queue: Arc<EventQueue>,
}

#[async_trait]
impl ObjectStore for TellingBucket {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        let size = body.len();
        let outcome = self.objects.put_if_absent(key, body).await?;
        if outcome == PutOutcome::Created {
            self.queue.created(key, size);
        }
        Ok(outcome)
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        self.objects.get(key, range).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        self.objects.list(prefix, start_after).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.objects.delete(key).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.objects.check().await
    }
}

/// The queue between S3 and the function.
#[derive(Debug)]
pub struct EventQueue {
    dice: Dice,
    scribe: Scribe,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    faults: EventFaults,
    next_id: u64,
    messages: BTreeMap<u64, Message>,
}

#[derive(Clone, Debug)]
struct Message {
    key: ObjectKey,
    bytes: usize,
    visible_at: Instant,
    receives: u32,
}

/// Messages on their way to the function.
#[derive(Debug)]
pub struct Delivery {
    /// The invocation's payload.
    pub payload: Value,
    ids: Vec<u64>,
}

impl EventQueue {
    /// An empty queue.
    pub fn new(faults: EventFaults, dice: Dice, scribe: Scribe) -> Self {
        Self {
            dice,
            scribe,
            state: Mutex::new(State {
                faults,
                next_id: 0,
                messages: BTreeMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// From now on nothing goes wrong.
    pub fn heal(&self) {
        self.state().faults = EventFaults::NONE;
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.state().messages.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An object was created.
    pub fn created(&self, key: &ObjectKey, bytes: usize) {
        let mut state = self.state();
        let faults = state.faults.clone();
        if self.dice.chance(faults.lost_permille) {
            self.scribe.note("event lost", key);
            return;
        }
        let twice = self.dice.chance(faults.doubled_permille);
        if twice {
            self.scribe.note("event doubled", key);
        }
        for _ in 0..=u32::from(twice) {
            let late = self.dice.chance(faults.late_permille);
            if late {
                self.scribe.note("event late", key);
            }
            let delay = if late {
                self.dice.ms(500..15_000)
            } else {
                self.dice.ms(5..60)
            };
            let id = state.next_id;
            state.next_id += 1;
            let message = Message {
                key: key.clone(),
                bytes,
                visible_at: Instant::now() + delay,
                receives: 0,
            };
            state.messages.insert(id, message);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for messages and takes some of them, in whatever order; they become invisible for a while.
    pub async fn receive(&self) -> Delivery {
        loop {
            let next = self.next_visible();
            match next {
                Some(at) if at <= Instant::now() => return self.take(),
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = sleep_until(at) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// What the function did not give back is done.
    pub fn settle(&self, delivery: &Delivery, answer: &Value) {
        let failed: Vec<&str> = answer["batchItemFailures"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|failure| failure["itemIdentifier"].as_str())
            .collect();
        let mut state = self.state();
        for id in &delivery.ids {
            if !failed.contains(&message_id(*id).as_str()) {
                state.messages.remove(id);
            }
        }
    }

    fn next_visible(&self) -> Option<Instant> {
        self.state().messages.values().map(|message| message.visible_at).min()
    }

    fn take(&self) -> Delivery {
        let now = Instant::now();
        let mut state = self.state();
        let mut visible: Vec<u64> = state
            .messages
            .iter()
            .filter(|(_, message)| message.visible_at <= now)
            .map(|(id, _)| *id)
            .collect();
        let count = self.dice.index(BATCH_MESSAGES_MAX) + 1;
        if self.dice.chance(state.faults.reversed_permille) {
            visible.reverse();
            self.scribe.count("events reversed");
        }
        visible.truncate(count);
        let mut records = Vec::new();
        for id in &visible {
            let message = state.messages.get_mut(id).expect("it was there a moment ago");
            message.visible_at = now + VISIBILITY;
            message.receives += 1;
            records.push(sqs_record(*id, message));
            if message.receives > 1 {
                self.scribe.count("event redelivered");
            }
        }
        // Whoever else waits may have the rest.
        self.changed.notify_one();
        Delivery {
            payload: json!({ "Records": records }),
            ids: visible,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message_id(id: u64) -> String {
    format!("message-{id}")
}

fn sqs_record(id: u64, message: &Message) -> Value {
    json!({
        "messageId": message_id(id),
        "receiptHandle": format!("receipt-{id}-{}", message.receives),
        "body": s3_event(&message.key, message.bytes).to_string(),
        "attributes": {
            "ApproximateReceiveCount": message.receives.to_string(),
            "SentTimestamp": "1767225600000",
            "SenderId": "AIDAJXNJGGKNS7OSV23OI",
            "ApproximateFirstReceiveTimestamp": "1767225600000",
        },
        "messageAttributes": {},
        "md5OfBody": "00000000000000000000000000000000",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:yaks-events",
        "awsRegion": "us-east-1",
    })
}

/// The notification about one object; the keys of slots need no encoding.
fn s3_event(key: &ObjectKey, bytes: usize) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDACKCEVSQ6C2EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "yaks-data",
            "bucket": {
                "name": "sim",
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": "arn:aws:s3:::sim",
            },
            "object": {"key": key.as_str(), "size": bytes, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"},
        },
    }]})
}
