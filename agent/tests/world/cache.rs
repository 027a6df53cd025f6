//! A sidecar with a bad disk.

use std::collections::BTreeMap;
use std::sync::Mutex;

use agent::fetch::read::{Lane, ObjectCache};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cache_api::{CacheError, ServedRange};
use types::{ByteRange, ObjectKey};

/// Serves the objects pushed into it, with one bit flipped.
#[derive(Debug, Default)]
pub(crate) struct DamagedCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectKey, Bytes>,
    flipped: usize,
    reads: usize,
}

impl DamagedCache {
    /// Damages this byte of all that is read from now on.
    pub(crate) fn flip(&self, byte: usize) {
        self.0.lock().unwrap().flipped = byte;
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.lock().unwrap().reads
    }
}

#[async_trait]
impl ObjectCache for DamagedCache {
    async fn get_range(&self, key: &ObjectKey, range: ByteRange, _lane: Lane) -> Result<ServedRange, CacheError> {
        let mut state = self.0.lock().unwrap();
        state.reads += 1;
        let object = state
            .objects
            .get(key)
            .ok_or_else(|| CacheError::NotFound(key.to_string()))?;
        let mut bytes = BytesMut::from(&object[range.start as usize..range.end as usize]);
        bytes[state.flipped] ^= 1;
        Ok(ServedRange { bytes, gets: 0 })
    }

    async fn push(&self, key: &ObjectKey, object: Bytes) -> Result<(), CacheError> {
        self.0.lock().unwrap().objects.insert(key.clone(), object);
        Ok(())
    }
}
