//! Every random choice of a run, from one seed. Each part has a source of its own, named after it, so that a choice more in one
//! part does not shift those of the others.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use types::{Entropy, SeededEntropy};

/// A source of choices; clones draw from the same numbers.
#[derive(Clone, Debug)]
pub struct Dice(Arc<SeededEntropy>);

impl Dice {
    /// The source of the part `name` in the run of `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let mixed = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // One number is drawn and thrown away: neighbouring seeds differ in few bits.
        Self(Arc::new(SeededEntropy::new(mixed).fork()))
    }

    /// Another source, named after this one's next number.
    pub fn fork(&self) -> Self {
        Self(Arc::new(self.0.fork()))
    }

    /// The same as product code takes it.
    pub fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::new(self.0.fork())
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        self.0.next_u64()
    }

    /// A number of `range`, which may not be empty.
    pub fn between(&self, range: Range<u64>) -> u64 {
        assert!(!range.is_empty(), "there is nothing to choose from");
        range.start + self.0.next_u64() % (range.end - range.start)
    }

    /// An index below `len`, which may not be zero.
    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.between(0..len as u64)).expect("below a usize")
    }

    /// One of `choices`.
    pub fn pick<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }

    /// True in so many of 1000 cases.
    pub fn chance(&self, permille: u64) -> bool {
        self.between(0..1000) < permille
    }

    /// A time in a range of milliseconds, to the microsecond: ties would hide orders that are possible.
    pub fn ms(&self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.between(range.start * 1000..range.end * 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, name: &str) -> Vec<u64> {
        let dice = Dice::new(seed, name);
        (0..4).map(|_| dice.bits()).collect()
    }

    #[test]
    fn a_part_draws_the_same_whatever_the_others_do() {
        assert_eq!(drawn(1, "events"), drawn(1, "events"));
        assert_ne!(drawn(1, "events"), drawn(1, "network"));
        assert_ne!(drawn(1, "events"), drawn(2, "events"));
    }

    #[test]
    fn choices_stay_in_their_range() {
        let dice = Dice::new(1, "test");
        assert!((0..1000).all(|_| (3..7).contains(&dice.between(3..7))));
        assert!((0..1000).all(|_| !dice.chance(0) && dice.chance(1000)));
        let time = dice.ms(5..6);
        assert!(time >= Duration::from_millis(5) && time < Duration::from_millis(6));
    }
}
