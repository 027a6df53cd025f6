//! Bytes in flight, counted before memory is taken for them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::memory::meter::{Counted, Meter};

/// What requests other than Produce can have when produced data hold the whole pool.
pub const RESERVE_BYTES: usize = 16 * 1024 * 1024;

/// The pool from which every request takes its bytes before its body is read. When the pool is empty nobody is
/// read from, and back pressure reaches the sockets. First come, first served: a large frame is not starved by small ones.
///
/// Produced data hold their bytes for as long as S3 is slow. So that Metadata, fetches and heartbeats go on meanwhile, a
/// reserve beside the pool is kept from Produce.
#[derive(Clone, Debug)]
pub struct BytePermits {
    pool: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    bytes_max: usize,
    meter: Meter,
}

/// Some bytes of a [`BytePermits`] pool; they go back when it is dropped.
#[derive(Debug)]
pub struct BytePermit {
    permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl BytePermits {
    /// A pool of `bytes_max` bytes. It must be larger than the largest frame: a frame that cannot ever get its
    /// bytes would wait for ever, and everybody behind it.
    pub fn new(bytes_max: usize) -> Self {
        Self::metered(bytes_max, |_| Meter::silent())
    }

    /// The same, under the name by which metrics tell of it.
    pub fn named(name: &'static str, bytes_max: usize) -> Self {
        Self::metered(bytes_max, |bytes_max| Meter::new(name, bytes_max))
    }

    fn metered(bytes_max: usize, meter: impl FnOnce(usize) -> Meter) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self {
            pool: Arc::new(Semaphore::new(bytes_max)),
            reserve: Arc::new(Semaphore::new(RESERVE_BYTES)),
            bytes_max,
            meter: meter(bytes_max),
        }
    }

    /// Size of the whole pool.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Bytes that nobody holds now.
    pub fn bytes_free(&self) -> usize {
        self.pool.available_permits()
    }

    /// Waits for `bytes` of the pool. More than the pool holds is cut to the whole pool, so that it never waits for ever.
    /// Safe to cancel: a cancelled wait holds nothing.
    pub async fn acquire(&self, bytes: usize) -> Arc<BytePermit> {
        self.take(&self.pool, bytes.min(self.bytes_max)).await
    }

    /// The same for what is no produced data: out of the reserve when the pool is empty; no more than that holds. Safe to cancel
    /// likewise.
    pub async fn acquire_or_reserve(&self, bytes: usize) -> Arc<BytePermit> {
        tokio::select! {
            biased;
            permit = self.acquire(bytes) => permit,
            permit = self.take(&self.reserve, bytes) => permit,
        }
    }

    async fn take(&self, pool: &Arc<Semaphore>, bytes: usize) -> Arc<BytePermit> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = match Arc::clone(pool).try_acquire_many_owned(wanted) {
            Ok(permit) => permit,
            Err(_) => {
                let begun = Instant::now();
                let permit = Arc::clone(pool).acquire_many_owned(wanted).await;
                self.meter.waited(begun.elapsed());
                permit.expect("the pools are never closed")
            }
        };
        Arc::new(BytePermit {
            _counted: self.meter.hold(permit.num_permits()),
            permit,
        })
    }
}

impl BytePermit {
    /// How many bytes it stands for.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn bytes_come_back_when_the_last_holder_drops_them() {
        let permits = BytePermits::new(100);
        let first = permits.acquire(70).now_or_never().expect("70 of 100 are free");
        let held_by_the_buffer = Arc::clone(&first);
        drop(first);
        assert_eq!(permits.bytes_free(), 30);
        assert!(permits.acquire(31).now_or_never().is_none());
        drop(held_by_the_buffer);
        assert_eq!(permits.bytes_free(), 100);
    }

    #[test]
    fn what_is_no_produced_data_goes_on_when_they_hold_the_pool() {
        let permits = BytePermits::new(100);
        let produced = permits.acquire(100).now_or_never().expect("the pool is free");
        assert!(permits.acquire(1).now_or_never().is_none());
        let metadata = permits.acquire_or_reserve(50).now_or_never();
        assert_eq!(metadata.expect("the reserve is free").bytes(), 50);
        drop(produced);
        let fetch = permits.acquire_or_reserve(60).now_or_never();
        assert_eq!(
            (fetch.is_some(), permits.bytes_free()),
            (true, 40),
            "the pool comes first"
        );
    }
}
