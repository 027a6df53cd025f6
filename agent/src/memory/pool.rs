//! Bytes of answers: counted from before they are read until the client has taken them.
//!
//! Who comes when there is plenty gets what he wants, but never more than half of what is free, so that a few clients that stop reading
//! do not take it all. Who comes when there is none waits for the least he can do with, first come, first served. After a while he looks
//! who is in his way: a connection that takes too little of its answer is ended then, and only then. Until then slowness is nobody's
//! business: Java's consumer reads its socket when its application polls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::memory::meter::{Counted, Meter};

/// How often one who waits looks who is in his way.
const LOOK: Duration = Duration::from_secs(1);
/// What a client may need before it takes the first byte, while others wait for the memory that its answer holds.
pub const TAKING_PATIENCE: Duration = Duration::from_secs(5);
/// And how fast it must be then: as fast as one that sends a request (`frame`).
const TAKEN_BYTES_PER_S_MIN: u64 = 256 * 1024;

/// A pool of bytes for answers; cheap to clone.
#[derive(Clone, Debug)]
pub struct AnswerPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    free: Arc<Semaphore>,
    bytes_max: usize,
    senders: Mutex<Senders>,
    meter: Meter,
}

/// Answers that are leaving.
#[derive(Debug, Default)]
struct Senders {
    next_id: u64,
    leaving: BTreeMap<u64, Arc<Sender>>,
}

#[derive(Debug)]
struct Sender {
    bytes: usize,
    begun: Instant,
    taken: AtomicU64,
    told_to_end: AtomicBool,
    end: Notify,
}

impl Sender {
    /// For how long its client has taken too little; `None`: it is quick enough.
    fn overdue(&self, now: Instant) -> Option<Duration> {
        let taken = self.taken.load(Ordering::Relaxed);
        let allowed = TAKING_PATIENCE + Duration::from_millis(taken.saturating_mul(1000) / TAKEN_BYTES_PER_S_MIN);
        (now - self.begun).checked_sub(allowed)
    }
}

impl AnswerPool {
    /// A pool of `bytes_max`; `name` is what metrics call it.
    pub fn new(name: &'static str, bytes_max: usize) -> Self {
        // One permit is asked for as a `u32`.
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        Self(Arc::new(Pool {
            free: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
            senders: Mutex::default(),
            meter: Meter::new(name, bytes_max),
        }))
    }

    /// Size of the whole pool.
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// Bytes that nobody holds now.
    pub fn bytes_free(&self) -> usize {
        self.0.free.available_permits()
    }

    /// Up to `wanted` bytes, `least` at least, or nothing where none came free until `give_up`. More than the pool holds is cut to the whole
    /// pool. Safe to cancel: a cancelled wait holds nothing.
    pub async fn take(&self, wanted: u64, least: u64, give_up: Instant) -> Option<Grant> {
        let least = self.cut(least);
        let share = (self.bytes_free() / 2).max(least);
        let now = self.cut(wanted).min(share).max(least);
        let grant = match self.try_take(now) {
            Some(grant) => Some(grant),
            None => self.wait(least, Some(give_up)).await,
        };
        match &grant {
            None => self.0.meter.refused(),
            Some(grant) if (grant.bytes() as u64) < wanted => self.0.meter.shortened(),
            Some(_) => {}
        }
        grant
    }

    /// Exactly `bytes`, whenever they are free; likewise safe to cancel.
    pub async fn take_all(&self, bytes: usize) -> Grant {
        let bytes = self.cut(bytes as u64);
        match self.try_take(bytes) {
            Some(grant) => grant,
            None => self.wait(bytes, None).await.expect("nobody gives up"),
        }
    }

    fn cut(&self, bytes: u64) -> usize {
        usize::try_from(bytes).unwrap_or(usize::MAX).min(self.0.bytes_max)
    }

    fn try_take(&self, bytes: usize) -> Option<Grant> {
        let permit = Arc::clone(&self.0.free)
            .try_acquire_many_owned(as_permits(bytes))
            .ok()?;
        Some(self.grant(permit))
    }

    async fn wait(&self, bytes: usize, give_up: Option<Instant>) -> Option<Grant> {
        let begun = Instant::now();
        let permit = Arc::clone(&self.0.free).acquire_many_owned(as_permits(bytes));
        tokio::pin!(permit);
        let mut look = begun + LOOK;
        let permit = loop {
            tokio::select! {
                biased;
                permit = &mut permit => break Some(permit.expect("the pools are never closed")),
                () = sleep_until(give_up.map_or(look, |give_up| look.min(give_up))) => {}
            }
            let now = Instant::now();
            if give_up.is_some_and(|give_up| give_up <= now) {
                break None;
            }
            self.end_overdue(bytes, now);
            look = now + LOOK;
        };
        self.0.meter.waited(begun.elapsed());
        permit.map(|permit| self.grant(permit))
    }

    fn grant(&self, permit: OwnedSemaphorePermit) -> Grant {
        Grant {
            counted: self.0.meter.hold(permit.num_permits()),
            pool: self.clone(),
            permit,
        }
    }

    /// Ends as many of the slowest connections as hold `bytes`.
    fn end_overdue(&self, bytes: usize, now: Instant) {
        let senders = self.senders();
        let still_there = senders
            .leaving
            .values()
            .filter(|sender| !sender.told_to_end.load(Ordering::Relaxed));
        let mut overdue: Vec<_> = still_there
            .filter_map(|sender| Some((sender.overdue(now)?, sender)))
            .collect();
        overdue.sort_by_key(|(overdue, _)| std::cmp::Reverse(*overdue));
        let mut ended = 0;
        for (_, sender) in overdue {
            if ended >= bytes {
                break;
            }
            ended += sender.bytes;
            sender.told_to_end.store(true, Ordering::Relaxed);
            sender.end.notify_one();
        }
    }

    fn senders(&self) -> MutexGuard<'_, Senders> {
        self.0.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As semaphores are asked.
pub(crate) fn as_permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Some bytes of a pool; they go back when it is dropped.
#[derive(Debug)]
pub struct Grant {
    pool: AnswerPool,
    permit: OwnedSemaphorePermit,
    counted: Counted,
}

impl Grant {
    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits()
    }

    /// Takes so many more if they are free. Nobody waits for more while he holds some: two who did would wait for each other.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let Ok(more) = u32::try_from(bytes) else {
            return false;
        };
        let Ok(more) = Arc::clone(&self.pool.0.free).try_acquire_many_owned(more) else {
            return false;
        };
        self.permit.merge(more);
        self.counted.set(self.permit.num_permits());
        true
    }

    /// The answer begins to leave.
    pub fn leave(self) -> Leaving {
        let sender = Arc::new(Sender {
            bytes: self.bytes(),
            begun: Instant::now(),
            taken: AtomicU64::new(0),
            told_to_end: AtomicBool::new(false),
            end: Notify::new(),
        });
        let mut senders = self.pool.senders();
        let id = senders.next_id;
        senders.next_id += 1;
        senders.leaving.insert(id, Arc::clone(&sender));
        drop(senders);
        Leaving {
            grant: self,
            id,
            sender,
        }
    }
}

/// The bytes of an answer that is leaving.
#[derive(Debug)]
pub struct Leaving {
    grant: Grant,
    id: u64,
    sender: Arc<Sender>,
}

impl Leaving {
    /// The client has taken so many bytes more.
    pub fn took(&self, bytes: usize) {
        self.sender.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits until others need the memory more than this client, who does not take what it holds. Safe to cancel.
    pub async fn ended(&self) {
        self.sender.end.notified().await;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.grant.pool.senders().leaving.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn pool() -> AnswerPool {
        AnswerPool::new("answers", 1000)
    }

    fn at_once(pool: &AnswerPool, wanted: u64, least: u64) -> Option<usize> {
        let give_up = Instant::now() + Duration::from_secs(10);
        let grant = pool.take(wanted, least, give_up).now_or_never()??;
        let bytes = grant.bytes();
        std::mem::forget(grant);
        Some(bytes)
    }

    #[tokio::test]
    async fn nobody_gets_more_than_half_of_what_is_free_unless_it_is_the_least() {
        let pool = pool();
        assert_eq!(at_once(&pool, 300, 10), Some(300));
        assert_eq!(at_once(&pool, 600, 10), Some(350));
        assert_eq!(at_once(&pool, 600, 200), Some(200));
        assert_eq!((pool.bytes_free(), pool.bytes_max()), (150, 1000));
        assert_eq!(at_once(&pool, 600, 151), None, "it waits");
        assert_eq!(pool.bytes_free(), 150, "and held nothing while it did");
    }

    #[tokio::test]
    async fn more_than_there_is_does_not_wait_for_ever() {
        let pool = pool();
        assert_eq!(at_once(&pool, 5000, 5000), Some(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_least_when_it_comes_free_or_nothing_in_the_end() {
        let pool = pool();
        let give_up = Instant::now() + Duration::from_secs(3);
        let all = pool.take_all(1000).await;
        let nothing = pool.take(500, 100, give_up).await;
        assert!(nothing.is_none() && Instant::now() == give_up);
        let mut waiting = Box::pin(pool.take(500, 100, give_up + Duration::from_secs(3)));
        assert!((&mut waiting).now_or_never().is_none());
        drop(all);
        assert_eq!(waiting.await.map(|grant| grant.bytes()), Some(100));
        assert_eq!(pool.bytes_free(), 1000);
    }

    #[tokio::test]
    async fn a_grant_grows_while_there_is_room_and_gives_all_of_it_back() {
        let pool = pool();
        let mut grant = pool.take_all(400).await;
        assert!(grant.grow(500));
        assert!(!grant.grow(101));
        assert_eq!((grant.bytes(), pool.bytes_free()), (900, 100));
        drop(grant);
        assert_eq!(pool.bytes_free(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_ended_when_somebody_waits_and_not_before() {
        let pool = pool();
        let stuck = pool.take_all(600).await.leave();
        let quick = pool.take_all(400).await.leave();
        tokio::time::sleep(10 * TAKING_PATIENCE).await;
        quick.took(TAKEN_BYTES_PER_S_MIN as usize * 100);
        assert!(stuck.ended().now_or_never().is_none(), "nobody waits");
        let began = Instant::now();
        let mut waiting = Box::pin(pool.take_all(300));
        tokio::select! {
            () = stuck.ended() => {}
            () = quick.ended() => panic!("it is quick enough"),
            _ = &mut waiting => panic!("there is nothing to have"),
        }
        assert!(began.elapsed() <= LOOK);
        drop(stuck);
        assert_eq!(waiting.await.bytes(), 300);
        assert!(quick.ended().now_or_never().is_none(), "one was enough");
        assert_eq!(pool.senders().leaving.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_is_ended_as_well() {
        let pool = pool();
        let slow = pool.take_all(1000).await.leave();
        let mut waiting = Box::pin(pool.take_all(1));
        let trickle = async {
            loop {
                slow.took(100);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let began = Instant::now();
        tokio::select! {
            () = slow.ended() => {}
            () = trickle => {}
            _ = &mut waiting => panic!("there is nothing to have"),
        }
        assert!((TAKING_PATIENCE..TAKING_PATIENCE + 2 * LOOK).contains(&began.elapsed()));
    }
}
