//! A bucket of which some keys cannot be read for a while, or are taken just before a PUT.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError, StorageErrorKind};
use types::ObjectKey;

#[derive(Debug)]
pub(crate) struct FaultyStore {
    bucket: Arc<MemoryStore>,
    unavailable: Mutex<BTreeSet<ObjectKey>>,
    rivals: Mutex<BTreeMap<ObjectKey, Bytes>>,
}

impl FaultyStore {
    pub(crate) fn over(bucket: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            bucket,
            unavailable: Mutex::default(),
            rivals: Mutex::default(),
        })
    }

    /// GETs of `key` fail from now on.
    pub(crate) fn fail(&self, key: ObjectKey) {
        self.unavailable.lock().expect("nobody panicked").insert(key);
    }

    /// Every GET succeeds again.
    pub(crate) fn recover(&self) {
        self.unavailable.lock().expect("nobody panicked").clear();
    }

    /// Somebody else's PUT of `key` will come just before the next one.
    pub(crate) fn race(&self, key: ObjectKey, body: Bytes) {
        self.rivals.lock().expect("nobody panicked").insert(key, body);
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        let rival = self.rivals.lock().expect("nobody panicked").remove(key);
        if let Some(rival) = rival {
            self.bucket.put_if_absent(key, rival).await?;
        }
        self.bucket.put_if_absent(key, body).await
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        if self.unavailable.lock().expect("nobody panicked").contains(key) {
            return Err(StorageError {
                kind: StorageErrorKind::Unavailable,
                operation: "GetObject",
                key: key.to_string(),
                message: "503".to_owned(),
            });
        }
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
