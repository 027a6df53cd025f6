//! Stops asking a sidecar that is gone, so that it costs its agent nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which the sidecar counts as gone. One may be a connection that broke with the sidecar's
/// restart and two a coincidence; a frozen sidecar costs its time limit each time, so not many more.
const FAILURES_MAX: u32 = 3;

/// How long a sidecar that is gone is left alone: a restarted container is back in use within a second, and one lost
/// time limit per second is all a frozen one can cost.
const OPEN_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures_in_row: u32,
    skip_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask. Once the wait is over, one caller asks and the others go on skipping until it knows.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.skip_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.skip_until = Some(now + OPEN_FOR);
                true
            }
            None => true,
        }
    }

    /// The sidecar answered, whatever it said.
    pub(crate) fn answered(&self) {
        *self.state() = State::default();
    }

    /// The sidecar did not answer.
    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.state();
        state.failures_in_row = state.failures_in_row.saturating_add(1);
        if state.failures_in_row >= FAILURES_MAX {
            state.skip_until = Some(now + OPEN_FOR);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.admits(now));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn a_dead_sidecar_is_asked_once_a_second() {
        let start = Instant::now();
        let breaker = gone(start);
        assert!(!breaker.admits(start + OPEN_FOR / 2));
        let probe = start + OPEN_FOR;
        assert!(breaker.admits(probe));
        assert!(!breaker.admits(probe), "one probe at a time");
        breaker.failed(probe);
        assert!(!breaker.admits(probe + OPEN_FOR / 2));
    }

    #[test]
    fn one_answer_makes_it_usable_again() {
        let start = Instant::now();
        let breaker = gone(start);
        assert!(breaker.admits(start + OPEN_FOR));
        breaker.answered();
        assert!(breaker.admits(start + OPEN_FOR) && breaker.admits(start + OPEN_FOR));
        breaker.failed(start);
        assert!(breaker.admits(start), "failures are counted in a row");
    }
}
