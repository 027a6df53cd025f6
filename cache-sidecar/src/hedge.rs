//! When a GET is slow enough to send a second one after it, and whether that is within the budget. Pure.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// GETs from whose times the quantile is taken.
const RECENT_MAX: usize = 256;
/// With fewer of them nothing is known.
const RECENT_MIN: usize = 32;
/// Of a hundred GETs so many are slow.
const SLOW_PERCENT: usize = 5;
/// A GET faster than this is not worth a second one, however slow it is compared with others.
const DELAY_MIN: Duration = Duration::from_millis(30);
/// What the budget saves up: hedges that may be sent in a row.
const SAVED_MAX: u64 = 10;

/// Times of late GETs, and the budget of second ones.
#[derive(Debug)]
pub(crate) struct Hedge {
    budget_percent: u8,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Duration>,
    /// In hundredths of a GET.
    saved: u64,
}

impl Hedge {
    /// Second GETs for at most `budget_percent` of all GETs.
    pub(crate) fn new(budget_percent: u8) -> Self {
        Self {
            budget_percent,
            state: Mutex::default(),
        }
    }

    /// After how long a GET counts as slow; `None`: none does.
    pub(crate) fn delay(&self) -> Option<Duration> {
        let state = self.state();
        if self.budget_percent == 0 || state.recent.len() < RECENT_MIN {
            return None;
        }
        let mut sorted: Vec<Duration> = state.recent.iter().copied().collect();
        drop(state);
        let at = sorted.len() * (100 - SLOW_PERCENT) / 100;
        let (_, quantile, _) = sorted.select_nth_unstable(at);
        Some((*quantile).max(DELAY_MIN))
    }

    /// Takes a second GET out of the budget; false: there is none left.
    pub(crate) fn take(&self) -> bool {
        let mut state = self.state();
        let enough = state.saved >= 100;
        if enough {
            state.saved -= 100;
        }
        enough
    }

    /// A GET took so long.
    pub(crate) fn took(&self, time: Duration) {
        let mut state = self.state();
        state.saved = (state.saved + u64::from(self.budget_percent)).min(SAVED_MAX * 100);
        state.recent.push_back(time);
        if state.recent.len() > RECENT_MAX {
            state.recent.pop_front();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hedge: &Hedge, gets: u64) {
        for n in 0..gets {
            hedge.took(Duration::from_millis(100 + n % 100));
        }
    }

    #[test]
    fn the_slowest_twentieth_is_slow_once_enough_is_known() {
        let hedge = Hedge::new(5);
        after(&hedge, RECENT_MIN as u64 - 1);
        assert_eq!(hedge.delay(), None);
        after(&hedge, 1000);
        let delay = hedge.delay().unwrap();
        assert!((193..=197).contains(&delay.as_millis()), "{delay:?}");
        for _ in 0..RECENT_MAX {
            hedge.took(Duration::from_micros(1));
        }
        assert_eq!(hedge.delay(), Some(DELAY_MIN));
    }

    #[test]
    fn second_gets_stay_within_the_budget() {
        let hedge = Hedge::new(5);
        let mut taken = 0;
        for _ in 0..1000 {
            after(&hedge, 1);
            taken += u64::from(hedge.take());
        }
        assert_eq!(taken, 50);
        after(&hedge, 10_000);
        assert_eq!((0..100).filter(|_| hedge.take()).count() as u64, SAVED_MAX);
        assert_eq!(Hedge::new(0).delay(), None);
    }
}
