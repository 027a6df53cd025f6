//! What may go wrong with events: as probabilities, by flags, and as switches that tests turn at run time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use types::{Entropy as _, SeededEntropy};

use crate::s3::{skewed, unit};

/// What may become of an event that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum EventFault {
    /// It is lost.
    Drop,
    /// It is there twice.
    Duplicate,
    /// It comes up to half a minute later.
    Delay,
    /// It comes a little later, so that those behind it overtake it.
    Reorder,
}

/// A delayed event may miss the stall rule and two sweeps.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// A few flush intervals.
const REORDER_MAX: Duration = Duration::from_secs(2);

/// Probabilities and switches; all off at the start. They act on events that arrive, except `hold` and `reverse`, which
/// act on delivery.
#[derive(Debug)]
pub struct EventFaults {
    entropy: SeededEntropy,
    hold: AtomicBool,
    reverse: AtomicBool,
    delay_ms: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rates: BTreeMap<EventFault, f64>,
    injected: BTreeMap<EventFault, u64>,
}

impl EventFaults {
    /// No faults yet; `seed` decides which events will meet them.
    pub fn new(seed: u64) -> Self {
        Self {
            entropy: SeededEntropy::new(seed),
            hold: AtomicBool::new(false),
            reverse: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Sets how likely a fault is for an event that arrives, from 0 to 1.
    pub fn set_rate(&self, fault: EventFault, probability: f64) {
        self.state().rates.insert(fault, probability);
    }

    /// Keeps events in the queue until it is switched off again.
    pub fn set_hold(&self, on: bool) {
        self.hold.store(on, Ordering::SeqCst);
    }

    /// Loses every event that arrives.
    pub fn set_drop(&self, on: bool) {
        self.set_rate(EventFault::Drop, f64::from(u8::from(on)));
    }

    /// Delivers every event that arrives twice.
    pub fn set_duplicate(&self, on: bool) {
        self.set_rate(EventFault::Duplicate, f64::from(u8::from(on)));
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

    /// No more faults; what was delayed stays so.
    pub fn heal(&self) {
        self.state().rates.clear();
        self.set_hold(false);
        self.set_reverse(false);
        self.set_delay(Duration::ZERO);
    }

    /// How many events have met a fault.
    pub fn count(&self, fault: EventFault) -> u64 {
        self.state().injected.get(&fault).copied().unwrap_or_default()
    }

    /// In Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = "# TYPE yaks_dev_event_faults_total counter\n".to_owned();
        for (fault, count) in &self.state().injected {
            let _ = writeln!(text, "yaks_dev_event_faults_total{{fault=\"{fault:?}\"}} {count}");
        }
        text
    }

    pub(super) fn holds(&self) -> bool {
        self.hold.load(Ordering::SeqCst)
    }

    pub(super) fn reverses(&self) -> bool {
        self.reverse.load(Ordering::SeqCst)
    }

    /// How much later each copy of an event arrives; none if it is lost.
    pub(super) fn copies(&self) -> Vec<Duration> {
        if self.meets(EventFault::Drop) {
            return Vec::new();
        }
        let count = if self.meets(EventFault::Duplicate) { 2 } else { 1 };
        (0..count).map(|_| self.delay()).collect()
    }

    fn delay(&self) -> Duration {
        let mut delay = Duration::from_millis(self.delay_ms.load(Ordering::SeqCst));
        for (fault, max) in [(EventFault::Delay, DELAY_MAX), (EventFault::Reorder, REORDER_MAX)] {
            if self.meets(fault) {
                delay += skewed(max, self.entropy.next_u64());
            }
        }
        delay
    }

    /// Draws whether the next event meets `fault`, and counts it.
    fn meets(&self, fault: EventFault) -> bool {
        let mut state = self.state();
        let meets = unit(self.entropy.next_u64()) < state.rates.get(&fault).copied().unwrap_or_default();
        if meets {
            *state.injected.entry(fault).or_insert(0) += 1;
        }
        meets
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
