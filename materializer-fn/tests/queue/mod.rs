//! A queue that speaks as much of SQS's JSON protocol as a worker needs. What it has given out comes back only when the test
//! says so.

#![allow(dead_code, reason = "no test file uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use materializer_fn::worker::QueueUrl;
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

struct QueueState {
    messages: Mutex<Messages>,
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
        format!("http://127.0.0.1:{}/000000000000/events", self.port)
            .parse()
            .unwrap()
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
    assert!(request["QueueUrl"].as_str().unwrap().ends_with("/000000000000/events"));
    let said = match operation {
        "GetQueueAttributes" => json!({"Attributes": {
            "QueueArn": format!("arn:aws:sqs:{REGION}:000000000000:events"),
            "VisibilityTimeout": "60",
        }}),
        "ReceiveMessage" => state.receive(&request).await,
        "DeleteMessageBatch" => state.delete(&request),
        other => panic!("a worker has no need of {other}"),
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
