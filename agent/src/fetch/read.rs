//! Bytes of objects: from the sidecar while it answers, else from S3. And into the sidecar, for the readers to come.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cache_api::{CacheError, ServedRange};
use daemon::Tasks;
use metastore::LiveAgent;
use metrics::counter;
use storage::{GetRange, ObjectStore, StorageError, StorageErrorKind};
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, debug_span};
use types::{ByteRange, ObjectKey, TopicNumber};

use crate::costs::Costs;
use crate::memory::meter::Meter;
use crate::metrics::{CACHE_FALLBACKS, CACHE_PUSHES};

/// What a small object counts as, so that there are not too many pushes either.
const PUSH_BYTES_MIN: usize = 1024 * 1024;

/// How near to the end of the log a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// At the tail: one answer reaches the end.
    Hot,
    /// Old data: its reader is behind anyway, and should not be in the way of others.
    Cold,
}

/// Byte ranges of objects, kept near. Every error is one after which S3 can be asked.
#[async_trait]
pub trait ObjectCache: Send + Sync + std::fmt::Debug + 'static {
    /// Exactly the bytes of `range`, in memory of their own.
    async fn get_range(&self, key: &ObjectKey, range: ByteRange, lane: Lane) -> Result<ServedRange, CacheError>;

    /// Takes a whole object that S3 has already.
    async fn push(&self, key: &ObjectKey, object: Bytes) -> Result<(), CacheError>;

    /// Is told of the live agents whenever they change, and `first` of those that were there before us.
    fn follow(&self, _own: &LiveAgent, _agents: &[LiveAgent], _first: bool) {}
}

/// Reads of old data at once in this agent. Ours: two fetches' worth; at the 100 ms that S3 may take for the first byte of a page of 1 MiB
/// it is more than an agent's network carries.
const COLD_READS_MAX: usize = 32;

/// Reads ranges of objects.
#[derive(Clone, Debug)]
pub struct ObjectReader {
    cache: Option<Arc<dyn ObjectCache>>,
    store: Arc<dyn ObjectStore>,
    costs: Arc<Costs>,
    cold: ColdLane,
}

/// What was read, and what it took.
#[derive(Debug)]
pub struct ReadRange {
    /// Exactly the bytes asked for, in memory of their own.
    pub bytes: BytesMut,
    gets: u64,
}

/// What reads of old data have to themselves, so that those at the tail do not queue behind them.
#[derive(Clone, Debug)]
struct ColdLane {
    store: Arc<dyn ObjectStore>,
    turns: Arc<Semaphore>,
}

impl ObjectReader {
    /// A reader; without a cache it asks S3 for everything. `cold_store` is the same bucket over connections of its own.
    pub fn new(
        cache: Option<Arc<dyn ObjectCache>>,
        store: Arc<dyn ObjectStore>,
        cold_store: Arc<dyn ObjectStore>,
        costs: Arc<Costs>,
    ) -> Self {
        let cold = ColdLane {
            store: cold_store,
            turns: Arc::new(Semaphore::new(COLD_READS_MAX)),
        };
        Self {
            cache,
            store,
            costs,
            cold,
        }
    }

    /// Whether bytes come from a cache, so that S3 may know better.
    pub fn has_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// The same without the cache.
    #[must_use]
    pub fn of_store(&self) -> Self {
        Self {
            cache: None,
            ..self.clone()
        }
    }

    /// Exactly the bytes of `range`; [`ObjectReader::charge`] has then to be told for whom.
    pub async fn read(&self, key: &ObjectKey, range: ByteRange, lane: Lane) -> Result<ReadRange, StorageError> {
        let (store, _turn) = match lane {
            Lane::Hot => (&self.store, None),
            Lane::Cold => {
                let turn = self.cold.turns.acquire().await;
                (&self.cold.store, Some(turn.expect("the semaphore is never closed")))
            }
        };
        if let Some(cache) = &self.cache {
            let span = debug_span!("sidecar", object.key = %key);
            match cache.get_range(key, range, lane).instrument(span).await {
                Ok(ServedRange { bytes, gets }) => return Ok(ReadRange { bytes, gets }),
                Err(error) => {
                    counter!(CACHE_FALLBACKS).increment(1);
                    debug!(object.key = %key, %range, %error, "sidecar did not serve, reading from S3");
                }
            }
        }
        let got = store.get(key, GetRange::Bytes(range)).await?;
        if got.range != range {
            let message = format!("object ends before {range}: it has {} bytes", got.object_bytes);
            let kind = StorageErrorKind::RangeNotSatisfiable;
            return Err(StorageError {
                kind,
                operation: "GetObject",
                key: key.to_string(),
                message,
            });
        }
        let shared_or_not = got.bytes.try_into_mut();
        let bytes = shared_or_not.unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        Ok(ReadRange { bytes, gets: 1 })
    }

    /// Has topics pay for a read, by the bytes that it was for.
    pub fn charge(&self, read: &ReadRange, topics: impl Iterator<Item = (TopicNumber, u64)>) {
        self.costs.gets(read.gets, topics);
    }
}

/// Puts objects of ours into the sidecar, so that tail reads never touch S3. Best effort.
#[derive(Clone, Debug)]
pub struct CachePush {
    cache: Arc<dyn ObjectCache>,
    permits: Arc<Semaphore>,
    meter: Meter,
    tasks: Tasks,
}

impl CachePush {
    /// Pushes into `cache`; `tasks` are where the pushes run, `bytes_max` what objects under way, which stay in memory until they are
    /// there, may take together.
    pub fn new(cache: Arc<dyn ObjectCache>, bytes_max: usize, tasks: Tasks) -> Self {
        Self {
            cache,
            permits: Arc::new(Semaphore::new(bytes_max)),
            meter: Meter::new("pushes", bytes_max),
            tasks,
        }
    }

    /// Starts a push, unless too much is under way: then readers will find the object in S3. Never waits.
    pub fn push(&self, key: ObjectKey, object: Bytes) {
        let bytes = u32::try_from(object.len().max(PUSH_BYTES_MIN)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(bytes) else {
            counter!(CACHE_PUSHES, "result" => "skipped").increment(1);
            self.meter.refused();
            return;
        };
        let counted = self.meter.hold(permit.num_permits());
        let cache = Arc::clone(&self.cache);
        self.tasks.spawn("cache push", async move {
            let result = cache.push(&key, object).await;
            drop((permit, counted));
            let label = if result.is_ok() { "ok" } else { "error" };
            counter!(CACHE_PUSHES, "result" => label).increment(1);
            if let Err(error) = result {
                debug!(object.key = %key, %error, "object was not pushed into the sidecar");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio_util::sync::CancellationToken;

    use super::*;

    const PUSH_BYTES_MAX: usize = 64 * 1024 * 1024;

    /// A sidecar that takes pushes and never answers.
    #[derive(Debug, Default)]
    struct Frozen(AtomicUsize);

    #[async_trait]
    impl ObjectCache for Frozen {
        async fn get_range(&self, key: &ObjectKey, _range: ByteRange, _lane: Lane) -> Result<ServedRange, CacheError> {
            Err(CacheError::NotFound(key.to_string()))
        }

        async fn push(&self, _key: &ObjectKey, _object: Bytes) -> Result<(), CacheError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn what_a_frozen_sidecar_does_not_take_is_dropped_and_nobody_waits() {
        for (object_bytes, pushes_max) in [
            (1, PUSH_BYTES_MAX / PUSH_BYTES_MIN),
            (PUSH_BYTES_MAX / 4, 4),
            (PUSH_BYTES_MAX + 1, 0),
        ] {
            let sidecar = Arc::new(Frozen::default());
            let cache = Arc::clone(&sidecar) as Arc<dyn ObjectCache>;
            let push = CachePush::new(cache, PUSH_BYTES_MAX, Tasks::new(CancellationToken::new()));
            let object = Bytes::from(vec![0; object_bytes]);
            for n in 0..100 {
                push.push(ObjectKey::new(n.to_string()), object.clone());
            }
            // The runtime looks at other things after every few dozens of tasks.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert_eq!(sidecar.0.load(Ordering::SeqCst), pushes_max, "of {object_bytes} bytes");
        }
    }
}
