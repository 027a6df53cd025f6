//! The function without Lambda: what becomes of a message, and of the process when it is told to stop.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod queue;
mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use materializer_fn::queue::{QueueError, QueueErrorKind};
use materializer_fn::worker;
use queue::{FakeQueue, REGION, s3_settings};
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError};
use support::{Cluster, FaultyStore, Function, batch, keys, s3_event, slot};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use types::ObjectKey;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A worker on a fake queue.
struct Running {
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), QueueError>>,
}

fn run(function: &Function, queue: &FakeQueue, sweep_interval: Duration) -> Running {
    let shutdown = CancellationToken::new();
    let (url, context, token) = (queue.url(), Arc::clone(&function.context), shutdown.clone());
    let ended = tokio::spawn(async move { worker::run(&url, &s3_settings(), sweep_interval, context, token).await });
    Running { shutdown, ended }
}

fn start(function: &Function, queue: &FakeQueue) -> Running {
    run(function, queue, Duration::ZERO)
}

impl Running {
    async fn end(self) -> Result<(), QueueError> {
        self.shutdown.cancel();
        timeout(LIMIT, self.ended).await.expect("it ends in time").unwrap()
    }
}

/// A slot in the bucket that is not committed yet, and the message that tells of it.
async fn uploaded(function: &Function) -> (ObjectKey, String) {
    let topic = function.topic("t", 1).await;
    let slot = slot(function.stream().await, 0);
    function.put(slot, &[batch(&topic, 0, 3)]).await;
    let key = keys([slot]).remove(0);
    (key.clone(), s3_event([key]).to_string())
}

async fn is_committed(function: &Function, key: &ObjectKey) -> bool {
    let slot = object_format::parse_slot_key(key.as_str()).unwrap();
    function.metastore.slot_outcomes(slot).await.unwrap().is_some()
}

#[tokio::test]
async fn a_message_is_deleted_when_its_object_is_committed() {
    let function = Function::new().await;
    let queue = FakeQueue::start().await;
    let (key, message) = uploaded(&function).await;
    let worker = start(&function, &queue);
    queue.send("m-1", &message);
    assert_eq!(queue.next_deletion().await, ["m-1"]);
    assert!(is_committed(&function, &key).await);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_message_whose_object_cannot_be_read_now_is_left_to_come_again_and_its_neighbours_are_not() {
    let cluster = Cluster::new().await;
    let bucket = FaultyStore::over(cluster.store.clone());
    let function = Function::with_store(cluster, bucket.clone());
    let queue = FakeQueue::start().await;
    let (key, message) = uploaded(&function).await;
    bucket.fail(key.clone());
    queue.send("m-1", &message);
    queue.send("poison", r#"{"hello": "world"}"#);
    queue.send("trial", r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#);
    let worker = start(&function, &queue);
    assert_eq!(queue.next_deletion().await, ["poison", "trial"]);
    assert!(!is_committed(&function, &key).await);
    bucket.recover();
    queue.visibility_timeout_ends();
    assert_eq!(queue.next_deletion().await, ["m-1"]);
    assert!(is_committed(&function, &key).await);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_worker_deletes_poison_only_when_it_is_in_the_dead_letter_queue() {
    let queue = FakeQueue::start().await;
    let function = Function::new().await.with_dead_letters(queue.dead_letters());
    queue.refuse("SendMessage", 2, 500, "InternalFailure");
    queue.send("poison", r#"{"hello": "world"}"#);
    queue.send("trial", r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#);
    let worker = start(&function, &queue);
    assert_eq!(queue.next_deletion().await, ["trial"]);
    assert_eq!(queue.letters(), []);
    queue.visibility_timeout_ends();
    assert_eq!(queue.next_deletion().await, ["poison"]);
    let letters = queue.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].0, r#"{"hello": "world"}"#);
    let came_from = format!("arn:aws:sqs:{REGION}:000000000000:events");
    assert_eq!(letters[0].1["event_queue"], came_from);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_batch_in_hand_is_finished_and_deleted_when_it_is_time_to_stop() {
    let cluster = Cluster::new().await;
    let bucket = Arc::new(GatedStore::over(cluster.store.clone()));
    let function = Function::with_store(cluster, bucket.clone());
    let queue = FakeQueue::start().await;
    let (key, message) = uploaded(&function).await;
    queue.send("m-1", &message);
    let worker = start(&function, &queue);
    bucket.read_waits().await;
    worker.shutdown.cancel();
    bucket.gate.add_permits(1);
    worker.end().await.unwrap();
    assert_eq!(queue.next_deletion().await, ["m-1"]);
    assert!(is_committed(&function, &key).await);
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_asked_again() {
    let function = Function::new().await;
    let queue = FakeQueue::start().await;
    let (_, message) = uploaded(&function).await;
    // Twice before its existence is known, and twice after.
    queue.refuse("GetQueueAttributes", 2, 503, "ServiceUnavailable");
    queue.refuse("ReceiveMessage", 2, 500, "InternalFailure");
    let worker = start(&function, &queue);
    queue.send("m-1", &message);
    assert_eq!(queue.next_deletion().await, ["m-1"]);
    assert_eq!(queue.refusals_left(), 0);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_queue_that_is_not_there_or_not_ours_ends_the_start_with_what_to_do() {
    let function = Function::new().await;
    let cases = [
        (
            400,
            "QueueDoesNotExist",
            QueueErrorKind::Missing,
            "YAKS_EVENT_QUEUE_URL",
        ),
        (
            403,
            "AccessDeniedException",
            QueueErrorKind::AccessDenied,
            "sqs:ReceiveMessage",
        ),
        (
            403,
            "InvalidClientTokenId",
            QueueErrorKind::AccessDenied,
            "YAKS_S3_ACCESS_KEY",
        ),
    ];
    for (status, code, kind, advice) in cases {
        let queue = FakeQueue::start().await;
        queue.refuse("GetQueueAttributes", 1, status, code);
        let worker = start(&function, &queue);
        let error = timeout(LIMIT, worker.ended)
            .await
            .expect("it ends by itself")
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        let said = error.to_string();
        assert!(
            said.contains(code) && said.contains(advice) && said.contains(REGION),
            "{said}"
        );
        assert!(said.contains(queue.url().as_str()), "{said}");
    }
}

#[tokio::test]
async fn a_worker_sweeps_on_its_own_schedule() {
    let function = Function::new().await;
    let queue = FakeQueue::start().await;
    // Nobody's stream: no agent has a lease, and no event tells of its slot.
    let (key, _) = uploaded(&function).await;
    let worker = run(&function, &queue, Duration::from_millis(20));
    let swept = async {
        while !is_committed(&function, &key).await {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, swept).await.expect("a sweep commits it");
    worker.end().await.unwrap();
}

/// A bucket whose reads wait until they are let through.
#[derive(Debug)]
struct GatedStore {
    bucket: Arc<MemoryStore>,
    waiting: Semaphore,
    gate: Semaphore,
}

impl GatedStore {
    fn over(bucket: Arc<MemoryStore>) -> Self {
        Self {
            bucket,
            waiting: Semaphore::new(0),
            gate: Semaphore::new(0),
        }
    }

    /// Returns when a read stands at the gate.
    async fn read_waits(&self) {
        let waits = timeout(LIMIT, self.waiting.acquire()).await;
        waits.expect("a read comes in time").unwrap().forget();
    }
}

#[async_trait]
impl ObjectStore for GatedStore {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        self.bucket.put_if_absent(key, body).await
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        self.waiting.add_permits(1);
        self.gate.acquire().await.expect("never closed").forget();
        self.bucket.get(key, range).await
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
