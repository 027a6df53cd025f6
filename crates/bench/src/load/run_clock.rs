//! What all threads of a run agree on: when it began, which part of it is on, and what has come of it so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::payload::Stamp;
use crate::report::Count;

/// One run, shared by its threads.
#[derive(Debug)]
pub(super) struct RunClock {
    /// Tells its records from those of other runs.
    pub(super) run: u64,
    begun: Instant,
    phase: AtomicU8,
    sending: AtomicBool,
    reading: AtomicBool,
    /// Producers that have more to send.
    producers: AtomicU32,
    /// Records that may still be sent while measuring.
    allowance: AtomicI64,
    /// Records and bytes so far.
    pub(super) acked: Moved,
    /// The same of readers.
    pub(super) consumed: Moved,
    /// Records that were not acked, or did not arrive.
    pub(super) failed: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// Records and their bytes.
#[derive(Debug, Default)]
pub(super) struct Moved {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Moved {
    /// Counts one record.
    pub(super) fn add(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So far.
    pub(super) fn get(&self) -> Count {
        Count {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

impl RunClock {
    /// Begins now, with the warm-up; `allowance` records may be sent afterwards by `producers`.
    pub(super) fn start(run: u64, producers: u32, allowance: Option<u64>) -> Self {
        Self {
            run,
            begun: Instant::now(),
            phase: AtomicU8::new(0),
            sending: AtomicBool::new(true),
            producers: AtomicU32::new(producers),
            reading: AtomicBool::new(true),
            allowance: AtomicI64::new(
                allowance
                    .and_then(|records| i64::try_from(records).ok())
                    .unwrap_or(i64::MAX),
            ),
            acked: Moved::default(),
            consumed: Moved::default(),
            failed: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    /// Since it began.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The stamp of a record that is due then.
    pub(super) fn stamp(&self, due: Duration) -> Stamp {
        Stamp {
            phase: self.phase(),
            due,
        }
    }

    /// The part of the run that is on; 0 is the warm-up.
    pub(super) fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    /// The next part begins.
    pub(super) fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Whether to send on.
    pub(super) fn sends(&self) -> bool {
        self.sending.load(Ordering::Relaxed)
    }

    /// Whether to read on.
    pub(super) fn reads(&self) -> bool {
        self.reading.load(Ordering::Relaxed)
    }

    /// Nothing more is sent.
    pub(super) fn stop_sending(&self) {
        self.sending.store(false, Ordering::Relaxed);
    }

    /// Nothing more is read.
    pub(super) fn stop_reading(&self) {
        self.reading.store(false, Ordering::Relaxed);
    }

    /// Takes up to `records` from what may still be sent; the warm-up is free.
    pub(super) fn allow(&self, records: u64) -> u64 {
        if self.phase() == 0 {
            return records;
        }
        let wanted = i64::try_from(records).unwrap_or(i64::MAX);
        let left = self.allowance.fetch_sub(wanted, Ordering::Relaxed);
        u64::try_from(left.min(wanted)).unwrap_or_default()
    }

    /// A producer has sent all it will.
    pub(super) fn leave(&self) {
        self.producers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether all producers have.
    pub(super) fn all_left(&self) -> bool {
        self.producers.load(Ordering::Relaxed) == 0
    }

    /// Something that went wrong, and how many records it cost.
    pub(super) fn error(&self, what: impl Into<String>, records: u64) {
        self.failed.fetch_add(records, Ordering::Relaxed);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry(what.into()).or_default() += records.max(1);
    }

    /// What went wrong, and how often.
    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_is_free_and_then_no_more_is_sent_than_is_allowed() {
        let clock = RunClock::start(1, 1, Some(100));
        assert_eq!(clock.allow(64), 64);
        clock.enter(1);
        assert_eq!([clock.allow(64), clock.allow(64), clock.allow(64)], [64, 36, 0]);
        assert_eq!(RunClock::start(1, 1, None).allow(64), 64);
        assert!(!clock.all_left());
        clock.leave();
        assert!(clock.all_left());
    }

    #[test]
    fn errors_are_counted_by_what_they_say() {
        let clock = RunClock::start(1, 1, None);
        clock.error("timed out", 2);
        clock.error("timed out", 1);
        clock.error("connection refused", 0);
        assert_eq!(clock.failed.load(Ordering::Relaxed), 3);
        assert_eq!(
            clock.errors(),
            [("timed out".to_owned(), 3), ("connection refused".to_owned(), 1)].into()
        );
    }
}
