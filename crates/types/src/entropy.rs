//! Randomness comes in as an argument, as time does, so that a run of the simulator can be repeated from its seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::{Builder, Uuid};

use crate::Clock;

/// Where random numbers come from: ids, and the jitter of retries. Nothing that has to be kept secret.
pub trait Entropy: std::fmt::Debug + Send + Sync + 'static {
    /// 64 random bits.
    fn next_u64(&self) -> u64;

    /// A random UUID.
    fn uuid_v4(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_be_bytes());
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A UUID that begins with the time, so that ids drawn one after the other lie close together in an index.
    fn uuid_v7(&self, clock: &dyn Clock) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.next_u64().to_be_bytes());
        random[8..].copy_from_slice(&self.next_u64().to_be_bytes()[..2]);
        let now_ms = u64::try_from(clock.now().0).unwrap_or_default();
        Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid()
    }

    /// Between half of `pause` and all of it, so that those who failed together do not come back together.
    fn jitter(&self, pause: Duration) -> Duration {
        let half = pause / 2;
        let spread_us = u64::try_from(half.as_micros()).unwrap_or(u64::MAX - 1);
        half + Duration::from_micros(self.next_u64() % (spread_us + 1))
    }
}

/// The machine's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next_u64(&self) -> u64 {
        // Of its 128 bits six are fixed, at different places of the two halves: each fixed bit meets a random one.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        high ^ low
    }
}

/// The same numbers for the same seed: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// Starts at `seed`; neighbouring seeds give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Another source, for a part that is to draw its numbers whatever the others do.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(self.next_u64())
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, TimestampMs};

    #[test]
    fn a_seed_gives_the_numbers_of_the_published_generator() {
        let seeded = SeededEntropy::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| seeded.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn ids_are_repeated_with_the_seed_and_differ_within_it() {
        let clock = ManualClock::new(TimestampMs(1_700_000_000_000));
        let draw = |entropy: &dyn Entropy| [entropy.uuid_v4(), entropy.uuid_v7(&clock), entropy.uuid_v4()];
        let first = draw(&SeededEntropy::new(7));
        assert_eq!(first, draw(&SeededEntropy::new(7)));
        assert_ne!(first[0], first[2]);
        assert_eq!((first[0].get_version_num(), first[1].get_version_num()), (4, 7));
        let (seconds, _) = first[1]
            .get_timestamp()
            .expect("a UUIDv7 begins with the time")
            .to_unix();
        assert_eq!(seconds, 1_700_000_000);
    }

    #[test]
    fn jitter_keeps_at_least_half_of_the_pause_and_never_adds_to_it() {
        let (seeded, pause) = (SeededEntropy::new(1), Duration::from_millis(100));
        let drawn: Vec<Duration> = (0..1000).map(|_| seeded.jitter(pause)).collect();
        assert!(drawn.iter().all(|drawn| (pause / 2..=pause).contains(drawn)));
        assert!(drawn.iter().any(|drawn| *drawn < pause * 6 / 10) && drawn.iter().any(|drawn| *drawn > pause * 9 / 10));
        assert_eq!(seeded.jitter(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_machine_never_draws_the_same_twice() {
        assert_ne!(SystemEntropy.next_u64(), SystemEntropy.next_u64());
        assert_ne!(SystemEntropy.uuid_v4(), SystemEntropy.uuid_v4());
    }
}
