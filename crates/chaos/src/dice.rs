//! Seeded chance.

use std::time::Duration;

use types::{Entropy as _, SeededEntropy};

/// A source of chance of one track.
#[derive(Debug)]
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// Another one that is not moved by this one's draws.
    pub(crate) fn fork(&self) -> Self {
        Self(self.0.fork())
    }

    /// From 0 to `end`, `end` excluded.
    pub(crate) fn below(&self, end: usize) -> usize {
        let drawn = self.0.next_u64() % (end.max(1) as u64);
        usize::try_from(drawn).unwrap_or_default()
    }

    /// Between two numbers of seconds, in milliseconds.
    pub(crate) fn seconds(&self, min: u64, max: u64) -> Duration {
        Duration::from_millis(min * 1000 + self.0.next_u64() % ((max - min) * 1000 + 1))
    }

    /// In another order.
    pub(crate) fn shuffled<T>(&self, mut things: Vec<T>) -> Vec<T> {
        for place in (1..things.len()).rev() {
            things.swap(place, self.below(place + 1));
        }
        things
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_order_and_its_times() {
        let draw = |seed| {
            let dice = Dice::new(seed);
            (dice.shuffled((0..20).collect::<Vec<_>>()), dice.seconds(3, 8))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let (order, pause) = draw(3);
        assert_eq!(order.iter().sum::<i32>(), 190);
        assert!((3..=8).contains(&pause.as_secs()));
    }
}
