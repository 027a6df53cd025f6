//! The way from one process to the bucket: latency, patience, and whatever the process is going through. A request that has left
//! its process goes on without it: when the caller has given up, or is dead, it may still arrive, now or much later.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use storage::{GetRange, Got, ListedObject, ObjectStore, PutOutcome, StorageError, StorageErrorKind};
use tokio::time::{sleep, timeout};
use types::ObjectKey;

use crate::climate::Climate;
use crate::process::{Peer, Process};
use crate::random::Dice;
use crate::scribe::Scribe;

/// How long the S3 client waits for one request, its own retries included.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much later a refused request may happen: before and after the sweep has ended the stream that was left because of it.
const REFUSED_LATE_MS: Range<u64> = 20..6000;

/// One process's client of the bucket.
#[derive(Debug)]
pub struct BucketClient {
    /// Whose.
    pub process: Process,
    /// The bucket, with its own faults.
    pub bucket: Arc<dyn ObjectStore>,
    /// What goes wrong now.
    pub climate: Arc<Climate>,
    /// Where choices come from.
    pub dice: Dice,
    /// Where the fates of refused requests come from: a source of their own, so that the other choices stay what they were.
    pub refusals: Dice,
    /// Where it is written down.
    pub scribe: Scribe,
}

type Answer<T> = Result<T, StorageError>;

impl BucketClient {
    async fn call<T, F>(&self, operation: &'static str, key: String, request: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn ObjectStore>) -> BoxFuture<'static, Answer<T>> + Send,
    {
        if !self.process.reach(Peer::S3, PATIENCE).await {
            return Err(error(StorageErrorKind::TimedOut, operation, key));
        }
        let refused = self.climate.faults().s3_refused_permille;
        if self.dice.chance(refused / 2) {
            self.may_happen_later(operation, &key, request);
            return Err(error(StorageErrorKind::Other, operation, key));
        }
        let way = self.on_the_way(operation, &key, request(Arc::clone(&self.bucket)));
        let answered = timeout(PATIENCE, tokio::spawn(way)).await;
        // The answer is at the door, or the client's timer has run out: both are seen only by a process that runs.
        let reached = self.process.reach(Peer::S3, PATIENCE).await;
        if self.dice.chance(refused / 2) {
            self.scribe.note(
                "s3 refused what happened",
                format_args!("{} {operation} {key}", self.process.name()),
            );
            return Err(error(StorageErrorKind::Other, operation, key));
        }
        match answered {
            Ok(answer) if reached => answer.expect("requests do not panic"),
            Ok(_) | Err(_) => {
                self.scribe.note(
                    "s3 timed out",
                    format_args!("{} {operation} {key}", self.process.name()),
                );
                Err(error(StorageErrorKind::TimedOut, operation, key))
            }
        }
    }

    /// Half of what was refused happens all the same, when the caller has long drawn its conclusions.
    fn may_happen_later<T, F>(&self, operation: &'static str, key: &str, request: F)
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn ObjectStore>) -> BoxFuture<'static, Answer<T>>,
    {
        if !self.refusals.chance(500) {
            return;
        }
        self.scribe.note(
            "s3 refused what happens later",
            format_args!("{} {operation} {key}", self.process.name()),
        );
        let (request, late) = (request(Arc::clone(&self.bucket)), self.refusals.ms(REFUSED_LATE_MS));
        tokio::spawn(async move {
            sleep(late).await;
            let _ = request.await;
        });
    }

    fn on_the_way<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        request: BoxFuture<'static, Answer<T>>,
    ) -> impl Future<Output = Answer<T>> + Send + use<T> {
        let (there, back) = (self.climate.s3_delay(&self.dice), self.climate.s3_delay(&self.dice));
        let lost_if_dead = self.dice.chance(500);
        let (process, scribe) = (self.process.clone(), self.scribe.clone());
        let name = format!("{} {operation} {key}", process.name());
        async move {
            sleep(there).await;
            if process.is_dead() {
                if lost_if_dead {
                    return pending().await;
                }
                scribe.note("s3 request of the dead", &name);
            }
            let answer = request.await;
            sleep(back).await;
            answer
        }
    }
}

fn error(kind: StorageErrorKind, operation: &'static str, key: String) -> StorageError {
    StorageError {
        kind,
        operation,
        key,
        message: "made up by the simulator".to_owned(),
    }
}

#[async_trait]
impl ObjectStore for BucketClient {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Answer<PutOutcome> {
        let asked = key.clone();
        let request = |bucket: Arc<dyn ObjectStore>| async move { bucket.put_if_absent(&asked, body).await }.boxed();
        self.call("PutObject", key.to_string(), request).await
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Answer<Got> {
        let asked = key.clone();
        let request = |bucket: Arc<dyn ObjectStore>| async move { bucket.get(&asked, range).await }.boxed();
        self.call("GetObject", key.to_string(), request).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Answer<Vec<ListedObject>> {
        let (asked, after) = (prefix.to_owned(), start_after.map(str::to_owned));
        let request = |bucket: Arc<dyn ObjectStore>| async move { bucket.list(&asked, after.as_deref()).await }.boxed();
        self.call("ListObjectsV2", prefix.to_owned(), request).await
    }

    async fn delete(&self, key: &ObjectKey) -> Answer<()> {
        let asked = key.clone();
        let request = |bucket: Arc<dyn ObjectStore>| async move { bucket.delete(&asked).await }.boxed();
        self.call("DeleteObject", key.to_string(), request).await
    }

    async fn check(&self) -> Answer<()> {
        let request = |bucket: Arc<dyn ObjectStore>| async move { bucket.check().await }.boxed();
        self.call("HeadBucket", String::new(), request).await
    }
}
