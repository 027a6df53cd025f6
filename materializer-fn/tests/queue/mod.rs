//! A queue, and its dead-letter queue, that speak as much of SQS's JSON protocol as is needed. What the queue has given out comes back only
//! when the test says so.

#![allow(dead_code, reason = "no test file uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use materializer_fn::DeadLetters;
use materializer_fn::queue::QueueUrl;
use serde_json::{Value, json};
use storage::S3Config;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

pub(crate) const REGION: &str = "eu-west-3";

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Credentials and a region.
pub(crate) fn s3_settings() -> S3Config {
    S3Config {
        endpoint: String::new(),
        region: REGION.to_owned(),
        access_key: "test".to_owned(),
        secret_key: "test".into(),
        path_style: true,
        bucket: "b".to_owned(),
    }
}

pub(crate) struct FakeQueue {
    port: u16,
    state: Arc<QueueState>,
    deletions: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<String>>>,
}

/// A message of the dead-letter queue: its body and its attributes.
pub(crate) type Letter = (String, BTreeMap<String, String>);

struct QueueState {
    messages: Mutex<Messages>,
    letters: Mutex<Vec<Letter>>,
    sent: Notify,
    deleted: mpsc::UnboundedSender<Vec<String>>,
}

#[derive(Default)]
struct Messages {
    waiting: VecDeque<(String, String)>,
    in_flight: Vec<(String, String)>,
    refusals: Vec<Refusal>,
}

struct Refusal {
    operation: &'static str,
    left: usize,
    status: u16,
    code: &'static str,
}

impl FakeQueue {
    pub(crate) async fn start() -> Self {
        let (deleted, deletions) = mpsc::unbounded_channel();
        let state = Arc::new(QueueState {
            messages: Mutex::default(),
            letters: Mutex::default(),
            sent: Notify::new(),
            deleted,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(serve).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            port,
            state,
            deletions: tokio::sync::Mutex::new(deletions),
        }
    }

    pub(crate) fn url(&self) -> QueueUrl {
        self.url_of("events")
    }

    /// The URL of its dead-letter queue.
    pub(crate) fn dead_letter_url(&self) -> QueueUrl {
        self.url_of("dead")
    }

    /// Its dead-letter queue, as the function uses it.
    pub(crate) fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.dead_letter_url(), s3_settings())
    }

    /// What lies in its dead-letter queue, by body.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        let mut letters = self.state.letters.lock().unwrap().clone();
        letters.sort();
        letters
    }

    fn url_of(&self, name: &str) -> QueueUrl {
        let url = format!("http://127.0.0.1:{}/000000000000/{name}", self.port);
        url.parse().unwrap()
    }

    pub(crate) fn send(&self, id: &str, body: &str) {
        let message = (id.to_owned(), body.to_owned());
        self.state.messages.lock().unwrap().waiting.push_back(message);
        self.state.sent.notify_waiters();
    }

    /// What was received and not deleted can be received again.
    pub(crate) fn visibility_timeout_ends(&self) {
        let mut messages = self.state.messages.lock().unwrap();
        let back = std::mem::take(&mut messages.in_flight);
        messages.waiting.extend(back);
        drop(messages);
        self.state.sent.notify_waiters();
    }

    /// Answers the next `times` requests of `operation` with an error.
    pub(crate) fn refuse(&self, operation: &'static str, times: usize, status: u16, code: &'static str) {
        self.state.messages.lock().unwrap().refusals.push(Refusal {
            operation,
            left: times,
            status,
            code,
        });
    }

    pub(crate) fn refusals_left(&self) -> usize {
        let messages = self.state.messages.lock().unwrap();
        messages.refusals.iter().map(|refusal| refusal.left).sum()
    }

    /// Ids of the messages that the next request to delete names.
    pub(crate) async fn next_deletion(&self) -> Vec<String> {
        let mut deletions = self.deletions.lock().await;
        let next = timeout(LIMIT, deletions.recv()).await;
        next.expect("messages are deleted in time").unwrap()
    }
}

async fn serve(State(state): State<Arc<QueueState>>, headers: HeaderMap, body: String) -> Response<Body> {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.strip_prefix("AmazonSQS.").unwrap();
    let signature = headers["authorization"].to_str().unwrap();
    assert!(signature.contains(&format!("/{REGION}/sqs/")), "{signature}");
    if let Some((status, code)) = state.refusal(operation) {
        return answer(
            status,
            &json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "no"}),
        );
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    let name = if operation == "SendMessage" { "dead" } else { "events" };
    let url = request["QueueUrl"].as_str().unwrap();
    assert!(url.ends_with(&format!("/000000000000/{name}")), "{operation} {url}");
    let said = match operation {
        "GetQueueAttributes" => json!({"Attributes": {
            "QueueArn": format!("arn:aws:sqs:{REGION}:000000000000:events"),
            "VisibilityTimeout": "60",
        }}),
        "ReceiveMessage" => state.receive(&request).await,
        "DeleteMessageBatch" => state.delete(&request),
        "SendMessage" => state.bury(&request),
        other => panic!("nobody has need of {other}"),
    };
    answer(200, &said)
}

impl QueueState {
    fn refusal(&self, operation: &str) -> Option<(u16, &'static str)> {
        let mut messages = self.messages.lock().unwrap();
        let is_due = |refusal: &&mut Refusal| refusal.operation == operation && refusal.left > 0;
        let refusal = messages.refusals.iter_mut().find(is_due)?;
        refusal.left -= 1;
        Some((refusal.status, refusal.code))
    }

    async fn receive(&self, request: &Value) -> Value {
        let wait = Duration::from_secs(request["WaitTimeSeconds"].as_u64().unwrap());
        assert!(!wait.is_zero(), "a worker waits for messages");
        let taken = timeout(wait, async {
            loop {
                // Registered before the look: a message that is sent in between is heard of.
                let sent = self.sent.notified();
                let taken = self.take(request["MaxNumberOfMessages"].as_u64().unwrap());
                if !taken.is_empty() {
                    return taken;
                }
                sent.await;
            }
        });
        json!({"Messages": taken.await.unwrap_or_default()})
    }

    fn take(&self, count_max: u64) -> Vec<Value> {
        let mut messages = self.messages.lock().unwrap();
        let count = messages.waiting.len().min(count_max as usize);
        let taken: Vec<(String, String)> = messages.waiting.drain(..count).collect();
        messages.in_flight.extend(taken.iter().cloned());
        let shown = taken.into_iter().map(|(id, body)| {
            json!({
                "MessageId": id,
                "ReceiptHandle": format!("handle of {id}"),
                "Body": body,
                "Attributes": {"ApproximateReceiveCount": "1"},
            })
        });
        shown.collect()
    }

    fn bury(&self, request: &Value) -> Value {
        let attributes = request["MessageAttributes"].as_object().unwrap().iter();
        let attributes = attributes.map(|(name, value)| {
            assert_eq!(value["DataType"], "String");
            (name.clone(), value["StringValue"].as_str().unwrap().to_owned())
        });
        let letter = (
            request["MessageBody"].as_str().unwrap().to_owned(),
            attributes.collect(),
        );
        self.letters.lock().unwrap().push(letter);
        json!({"MessageId": "a letter's"})
    }

    fn delete(&self, request: &Value) -> Value {
        let entries = request["Entries"].as_array().unwrap();
        let mut messages = self.messages.lock().unwrap();
        let (mut successful, mut ids) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = entry["ReceiptHandle"]
                .as_str()
                .unwrap()
                .strip_prefix("handle of ")
                .unwrap();
            messages.in_flight.retain(|(in_flight, _)| in_flight != id);
            successful.push(json!({"Id": entry["Id"]}));
            ids.push(id.to_owned());
        }
        let _ = self.deleted.send(ids);
        json!({"Successful": successful, "Failed": []})
    }
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(body.to_string()))
        .unwrap()
}
