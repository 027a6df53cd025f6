//! A bucket that fails on purpose: wraps any `ObjectStore` and makes of its requests what a network and S3 make of them.
//!
//! Two modes matter most, because a caller cannot tell them apart: *failed before*, where nothing happened, and
//! *happened, but the answer was lost*. The third of the family, *happens later*, is the request that its sender has
//! given up and that S3 still carries out. A partial read is an error here, as `S3Store` reports it: a body that broke
//! off never reaches the caller.
//!
//! All chance comes from the `Entropy` given in and all time is tokio's: in a paused current-thread runtime the same
//! seed gives the same faults to the same requests. Deployables do not use it, so that nothing of it is linked into them.

mod draw;
mod faults;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use types::{Entropy, ObjectKey};

pub use self::faults::{DelayRange, FaultHandle, FaultKind, FaultRates, FaultTimes, Outage, StoreOperation};
use crate::{GetRange, Got, ListedObject, ObjectStore, PutOutcome, StorageError, StorageErrorKind};

/// A store whose requests fail as often as its `FaultHandle` says; in the beginning never.
#[derive(Clone, Debug)]
pub struct FailingStore {
    inner: Arc<dyn ObjectStore>,
    entropy: Arc<dyn Entropy>,
    faults: FaultHandle,
}

/// What a request is called in its error.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    operation: StoreOperation,
    key: &'a str,
}

impl FailingStore {
    /// Wraps `inner`. Several wrappers around one bucket are several networks to it: one per agent, say.
    pub fn new(inner: Arc<dyn ObjectStore>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            inner,
            entropy,
            faults: FaultHandle::default(),
        }
    }

    /// Turns faults on and off and counts them; clones are the same handle.
    pub fn faults(&self) -> FaultHandle {
        self.faults.clone()
    }

    /// Carries `call` out, or what a fault leaves of it.
    async fn run<T: Send + 'static>(
        &self,
        request: Request<'_>,
        call: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let drawn = self.faults.draw(request.operation, &*self.entropy);
        pause(drawn.before).await;
        let result = match drawn.fault {
            None => call.await,
            Some(FaultKind::Throttled) => Err(request.throttled()),
            Some(FaultKind::Conflict) => Err(request.conflict()),
            Some(FaultKind::PartialRead) => call.await.and_then(|_| Err(request.truncated())),
            Some(FaultKind::AnswerLost) => {
                // Whatever the answer was, nobody learns it.
                let _ = call.await;
                Err(request.unanswered(drawn.silence).await)
            }
            Some(FaultKind::HappensLater) => {
                tokio::spawn(async move {
                    pause(drawn.late).await;
                    call.await
                });
                Err(request.unanswered(drawn.silence).await)
            }
            Some(FaultKind::FailedBefore | FaultKind::Outage | FaultKind::Slow) => {
                Err(request.unanswered(drawn.silence).await)
            }
        };
        pause(drawn.after).await;
        result
    }
}

/// A sleep of no length would still give way to other tasks.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

impl Request<'_> {
    /// No answer: at once when the connection breaks, after a time limit when there is only silence.
    async fn unanswered(self, silence: Option<Duration>) -> StorageError {
        let Some(limit) = silence else {
            return self.error(StorageErrorKind::Unavailable, "connection reset by peer");
        };
        pause(limit).await;
        self.error(StorageErrorKind::TimedOut, "no answer within the time limit")
    }

    fn throttled(self) -> StorageError {
        self.error(StorageErrorKind::Throttled, "SlowDown: please reduce your request rate")
    }

    fn conflict(self) -> StorageError {
        let said = "ConditionalRequestConflict: a conflicting operation is under way";
        self.error(StorageErrorKind::Conflict, said)
    }

    fn truncated(self) -> StorageError {
        self.error(StorageErrorKind::Unavailable, "the body ended before its last byte")
    }

    fn error(self, kind: StorageErrorKind, message: &str) -> StorageError {
        StorageError {
            kind,
            operation: self.operation.s3_name(),
            key: self.key.to_owned(),
            message: format!("{message} (injected)"),
        }
    }
}

#[async_trait]
impl ObjectStore for FailingStore {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        let request = Request {
            operation: StoreOperation::Put,
            key: key.as_str(),
        };
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        self.run(request, async move { inner.put_if_absent(&key, body).await })
            .await
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        let request = Request {
            operation: StoreOperation::Get,
            key: key.as_str(),
        };
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        self.run(request, async move { inner.get(&key, range).await }).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        let request = Request {
            operation: StoreOperation::List,
            key: prefix,
        };
        let inner = Arc::clone(&self.inner);
        let (prefix, start_after) = (prefix.to_owned(), start_after.map(str::to_owned));
        self.run(
            request,
            async move { inner.list(&prefix, start_after.as_deref()).await },
        )
        .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let request = Request {
            operation: StoreOperation::Delete,
            key: key.as_str(),
        };
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        self.run(request, async move { inner.delete(&key).await }).await
    }

    /// Asked once, at start.
    async fn check(&self) -> Result<(), StorageError> {
        let request = Request {
            operation: StoreOperation::List,
            key: "",
        };
        let inner = Arc::clone(&self.inner);
        self.run(request, async move { inner.check().await }).await
    }
}

#[cfg(test)]
mod tests;
