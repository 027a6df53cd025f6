//! A bucket in memory, for tests: one map under one mutex, so every method happens at one moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use types::ObjectKey;

use crate::{GetRange, Got, ListedObject, ObjectStore, PutOutcome, StorageError, StorageErrorKind};

/// Most keys of one LIST, as S3 has it.
const LIST_KEYS_MAX: usize = 1000;

/// A bucket in memory that counts what is asked of it, failed requests included.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectKey, Bytes>>,
    puts: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
}

impl MemoryStore {
    /// An empty bucket.
    pub fn new() -> Self {
        Self::default()
    }

    /// PUTs so far.
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::SeqCst)
    }

    /// GETs so far.
    pub fn gets(&self) -> u64 {
        self.gets.load(Ordering::SeqCst)
    }

    /// LISTs so far.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::SeqCst)
    }

    /// DELETEs so far.
    pub fn deletes(&self) -> u64 {
        self.deletes.load(Ordering::SeqCst)
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(PutOutcome::AlreadyExists);
        }
        objects.insert(key.clone(), body);
        Ok(PutOutcome::Created)
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        let body = self.objects().get(key).cloned();
        let body = body.ok_or_else(|| get_error(StorageErrorKind::NotFound, key, "no such key"))?;
        let object_bytes = body.len() as u64;
        let found = range.within(object_bytes);
        if found.is_empty() && range != GetRange::Full {
            return Err(get_error(
                StorageErrorKind::RangeNotSatisfiable,
                key,
                "no byte of the range is there",
            ));
        }
        let slice = usize::try_from(found.start).ok().zip(usize::try_from(found.end).ok());
        let (start, end) = slice.expect("the range lies within a body in memory");
        Ok(Got {
            bytes: body.slice(start..end),
            range: found,
            object_bytes,
        })
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        let objects = self.objects();
        let found = objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        let found = found.filter(|(key, _)| start_after.is_none_or(|after| key.as_str() > after));
        let listed = found.map(|(key, body)| ListedObject {
            key: key.clone(),
            object_bytes: body.len() as u64,
        });
        Ok(listed.take(LIST_KEYS_MAX).collect())
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.deletes.fetch_add(1, Ordering::SeqCst);
        self.objects().remove(key);
        Ok(())
    }

    async fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

fn get_error(kind: StorageErrorKind, key: &ObjectKey, message: &str) -> StorageError {
    StorageError {
        kind,
        operation: "GetObject",
        key: key.to_string(),
        message: message.to_owned(),
    }
}
