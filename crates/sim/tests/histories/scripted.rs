//! A bucket as one party sees it, whose PUTs a test holds back, refuses or robs of their answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use metastore::Metastore;
use object_format::{DATA_PREFIX, Kind, decode_tail, parse_slot_key};
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError, StorageErrorKind};
use tokio::sync::Semaphore;
use types::{ObjectKey, SlotSeq};

/// What happens to the next PUT of a slot.
#[derive(Clone, Debug)]
enum Plan {
    /// It waits outside the bucket.
    HoldBefore(Arc<Hold>),
    /// It happens at once, and its answer waits and is lost.
    HoldLostAnswer(Arc<Hold>),
    /// Data are refused, again and again; a tombstone is not.
    RefuseData,
}

/// A PUT that waits for the test.
#[derive(Debug)]
pub(crate) struct Hold {
    arrived: Semaphore,
    go: Semaphore,
}

impl Hold {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: Semaphore::new(0),
            go: Semaphore::new(0),
        })
    }

    /// Returns once the PUT is there.
    pub(crate) async fn arrived(&self) {
        self.arrived.acquire().await.expect("never closed").forget();
    }

    /// Lets it go on.
    pub(crate) fn release(&self) {
        self.go.add_permits(1);
    }

    async fn wait(&self) {
        self.arrived.add_permits(1);
        self.go.acquire().await.expect("never closed").forget();
    }
}

/// The bucket as one agent, or the function, sees it.
#[derive(Debug)]
pub(crate) struct View {
    bucket: Arc<MemoryStore>,
    metastore: Metastore,
    plans: Mutex<BTreeMap<u64, Plan>>,
}

impl View {
    pub(crate) fn of(bucket: Arc<MemoryStore>, metastore: Metastore) -> Arc<Self> {
        Arc::new(Self {
            bucket,
            metastore,
            plans: Mutex::default(),
        })
    }

    /// The next PUT of slot `seq` of any stream waits before it happens.
    pub(crate) fn hold(&self, seq: u64) -> Arc<Hold> {
        let hold = Hold::new();
        self.plans().insert(seq, Plan::HoldBefore(Arc::clone(&hold)));
        hold
    }

    /// The next PUT of slot `seq` happens, and its answer waits and is lost.
    pub(crate) fn lose_answer(&self, seq: u64) -> Arc<Hold> {
        let hold = Hold::new();
        self.plans().insert(seq, Plan::HoldLostAnswer(Arc::clone(&hold)));
        hold
    }

    /// Data never get into slot `seq`.
    pub(crate) fn refuse_data(&self, seq: u64) {
        self.plans().insert(seq, Plan::RefuseData);
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<u64, Plan>> {
        self.plans.lock().expect("nobody panicked")
    }

    fn plan_for(&self, seq: SlotSeq, body: &Bytes) -> Option<Plan> {
        let mut plans = self.plans();
        match plans.get(&seq.0) {
            Some(Plan::RefuseData) if kind(body) != Kind::Data => None,
            Some(Plan::RefuseData) => Some(Plan::RefuseData),
            _ => plans.remove(&seq.0),
        }
    }
}

#[async_trait]
impl ObjectStore for View {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        let slot = parse_slot_key(key.as_str()).expect("only slots are written");
        let row = self.metastore.stream_progress(slot.stream, slot.seq, 0).await;
        // The rule behind history 5, asked of every PUT of every test here.
        assert!(
            row.is_ok_and(|row| row.is_some()),
            "PUT of {slot}, whose stream has no row in the metastore"
        );
        match self.plan_for(slot.seq, &body) {
            None => self.bucket.put_if_absent(key, body).await,
            Some(Plan::HoldBefore(hold)) => {
                hold.wait().await;
                self.bucket.put_if_absent(key, body).await
            }
            Some(Plan::HoldLostAnswer(hold)) => {
                self.bucket.put_if_absent(key, body).await?;
                hold.wait().await;
                Err(error(StorageErrorKind::Unavailable, key, "the answer was lost"))
            }
            Some(Plan::RefuseData) => Err(error(StorageErrorKind::Throttled, key, "slow down")),
        }
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        self.bucket.get(key, range).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        self.bucket.list(prefix, start_after).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        assert!(key.as_str().starts_with(DATA_PREFIX), "nothing else lies here");
        self.bucket.delete(key).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// What kind of object `body` is.
pub(crate) fn kind(body: &Bytes) -> Kind {
    decode_tail(body, body.len() as u64).expect("an object of ours").kind
}

fn error(kind: StorageErrorKind, key: &ObjectKey, message: &str) -> StorageError {
    StorageError {
        kind,
        operation: "PutObject",
        key: key.to_string(),
        message: message.to_owned(),
    }
}
