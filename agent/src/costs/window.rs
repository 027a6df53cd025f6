//! The last minute of what was spent, as dollars an hour. Pure: time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Dollars, Spent};

/// As long as it takes for a rate not to jump with every object of a topic that has a few a minute.
const WINDOW: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What was spent lately, in the portions in which it was told.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<(Instant, Spent)>);

impl Window {
    /// Takes what was spent up to `now`, and forgets what is over.
    pub(super) fn add(&mut self, now: Instant, spent: Spent) {
        while self.0.front().is_some_and(|(told, _)| *told + WINDOW <= now) {
            self.0.pop_front();
        }
        self.0.push_back((now, spent));
    }

    /// Dollars an hour. A window that is not full yet counts as full: what is missing was not spent.
    pub(super) fn per_hour(&self) -> Spent {
        let mut sums = Spent::new();
        for (topic, dollars) in self.0.iter().flat_map(|(_, spent)| spent) {
            *sums.entry(*topic).or_default() += *dollars;
        }
        let factor = HOUR.as_secs_f64() / WINDOW.as_secs_f64();
        for dollars in sums.values_mut() {
            *dollars = Dollars {
                put: factor * dollars.put,
                commit: factor * dollars.commit,
                get: factor * dollars.get,
            };
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{id, near};
    use super::*;

    fn put(topic: u128, put: f64) -> Spent {
        let dollars = Dollars {
            put,
            ..Dollars::default()
        };
        Spent::from([(id(topic), dollars)])
    }

    #[test]
    fn what_was_spent_counts_for_a_minute() {
        let start = Instant::now();
        let mut window = Window::default();
        let mut rates = Vec::new();
        for tick in 0..26 {
            let spent = if tick < 12 { put(1, 0.5) } else { Spent::new() };
            window.add(start + Duration::from_secs(5 * tick), spent);
            rates.push(window.per_hour().get(&id(1)).map_or(0.0, |dollars| dollars.put));
        }
        assert!(near(rates[0], 30.0), "half a dollar a minute: {rates:?}");
        assert!(near(rates[11], 360.0), "twelve of them: {rates:?}");
        assert!(near(rates[12], 330.0), "the first is a minute old: {rates:?}");
        assert_eq!(rates[23..], [0.0; 3]);
    }

    #[test]
    fn topics_and_kinds_are_summed_apart() {
        let now = Instant::now();
        let mut window = Window::default();
        window.add(now, put(1, 1.0));
        window.add(now, put(2, 2.0));
        let get = Dollars {
            get: 3.0,
            ..Dollars::default()
        };
        window.add(now, Spent::from([(id(1), get)]));
        let rates = window.per_hour();
        let dollars = rates[&id(1)];
        assert_eq!((dollars.put, dollars.commit, dollars.get), (60.0, 0.0, 180.0));
        assert_eq!(rates[&id(2)].put, 120.0);
    }
}
