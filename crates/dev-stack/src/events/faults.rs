//! What may go wrong with events, switched on and off at run time by tests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Switches; all off at the start. They act on events that arrive, except `hold` and `reverse`, which act on delivery.
#[derive(Debug, Default)]
pub struct EventFaults {
    hold: AtomicBool,
    drop: AtomicBool,
    duplicate: AtomicBool,
    reverse: AtomicBool,
    delay_ms: AtomicU64,
}

impl EventFaults {
    /// Keeps events in the queue until it is switched off again.
    pub fn set_hold(&self, on: bool) {
        self.hold.store(on, Ordering::SeqCst);
    }

    /// Loses every event that arrives.
    pub fn set_drop(&self, on: bool) {
        self.drop.store(on, Ordering::SeqCst);
    }

    /// Delivers every event that arrives twice.
    pub fn set_duplicate(&self, on: bool) {
        self.duplicate.store(on, Ordering::SeqCst);
    }

    /// Delivers the newest event first.
    pub fn set_reverse(&self, on: bool) {
        self.reverse.store(on, Ordering::SeqCst);
    }

    /// Delivers every event that arrives so much later; zero switches it off.
    pub fn set_delay(&self, delay: Duration) {
        self.delay_ms
            .store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(super) fn holds(&self) -> bool {
        self.hold.load(Ordering::SeqCst)
    }

    /// How many copies of an event arrive.
    pub(super) fn copies(&self) -> usize {
        match (self.drop.load(Ordering::SeqCst), self.duplicate.load(Ordering::SeqCst)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        }
    }

    pub(super) fn reverses(&self) -> bool {
        self.reverse.load(Ordering::SeqCst)
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::SeqCst))
    }
}
