//! How long S3 takes to answer, drawn from a distribution: an embedded S3 is faster than any that is reached over a network.
//!
//! The delay comes before the request is served, so that an object is there, and its event is sent, when a real one would be. What a real
//! S3 tells of a PUT includes the arrival of its body: that goes on meanwhile here too. The embedded S3's own milliseconds come on top
//! of all others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use types::{Entropy, SeededEntropy};

use super::faults::{RequestKind, unit};

/// Whose latency is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LatencyProfile {
    /// No delay.
    #[default]
    None,
    /// S3 Standard with objects of 4 MiB: PUT p50 100 ms, p99 400 ms; GET p50 30 ms, p99 200 ms.
    Standard,
    /// S3 Express One Zone: p50 5 ms, p99 15 ms.
    Express,
}

/// A log-normal distribution, given by what latencies are told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LogNormal {
    p50_ms: u32,
    p99_ms: u32,
}

/// 99 of 100 draws of the standard normal distribution lie below this.
const Z_P99: f64 = 2.326_347_874;

impl LatencyProfile {
    /// HEAD and LIST read, DELETE writes; S3 publishes nothing about them.
    fn of(self, kind: RequestKind) -> Option<LogNormal> {
        let writes = matches!(kind, RequestKind::Put | RequestKind::Delete);
        let (p50_ms, p99_ms) = match (self, writes) {
            (Self::None, _) => return None,
            (Self::Standard, true) => (100, 400),
            (Self::Standard, false) => (30, 200),
            (Self::Express, _) => (5, 15),
        };
        Some(LogNormal { p50_ms, p99_ms })
    }
}

impl LogNormal {
    /// `normal` is drawn from the standard normal distribution.
    fn at(self, normal: f64) -> Duration {
        let (p50_ms, p99_ms) = (f64::from(self.p50_ms), f64::from(self.p99_ms));
        let sigma = (p99_ms / p50_ms).ln() / Z_P99;
        Duration::from_secs_f64(p50_ms * (sigma * normal).exp() / 1000.0)
    }
}

/// Box and Muller (1958).
fn standard_normal(random: [u64; 2]) -> f64 {
    let [radius, angle] = random.map(unit);
    // 1 - radius: the logarithm of 0 is none.
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// The latency of one S3; none at the start.
#[derive(Debug)]
pub struct S3Latency {
    /// Its own numbers, so that faults meet the same requests with and without it.
    entropy: SeededEntropy,
    profile: Mutex<LatencyProfile>,
}

impl S3Latency {
    /// No delay yet; `seed` decides which requests will be slow.
    pub fn new(seed: u64) -> Self {
        Self {
            entropy: SeededEntropy::new(!seed),
            profile: Mutex::default(),
        }
    }

    /// Sets the profile for all requests to come.
    pub fn set(&self, profile: LatencyProfile) {
        *self.profile.lock().unwrap_or_else(PoisonError::into_inner) = profile;
    }

    /// How long the next request of this kind has to wait.
    pub(super) fn draw(&self, kind: RequestKind) -> Duration {
        let profile = *self.profile.lock().unwrap_or_else(PoisonError::into_inner);
        profile.of(kind).map_or(Duration::ZERO, |distribution| {
            distribution.at(standard_normal(std::array::from_fn(|_| self.entropy.next_u64())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Median and 99th percentile of ten thousand draws, in milliseconds.
    fn quantiles(profile: LatencyProfile, kind: RequestKind) -> [u128; 2] {
        let latency = S3Latency::new(7);
        latency.set(profile);
        let mut drawn: Vec<Duration> = (0..10_000).map(|_| latency.draw(kind)).collect();
        drawn.sort_unstable();
        [drawn[5_000], drawn[9_900]].map(|drawn| drawn.as_millis())
    }

    #[test]
    fn draws_have_the_quantiles_of_their_profile() {
        for (profile, kind, wanted) in [
            (LatencyProfile::Standard, RequestKind::Put, [100, 400]),
            (LatencyProfile::Standard, RequestKind::Get, [30, 200]),
            (LatencyProfile::Standard, RequestKind::List, [30, 200]),
            (LatencyProfile::Express, RequestKind::Put, [5, 15]),
            (LatencyProfile::Express, RequestKind::Get, [5, 15]),
            (LatencyProfile::None, RequestKind::Put, [0, 0]),
        ] {
            let found = quantiles(profile, kind);
            let near = found
                .iter()
                .zip(wanted)
                .all(|(&found, wanted)| found.abs_diff(wanted) <= wanted / 10 + 1);
            assert!(near, "{profile:?} {kind:?}: {found:?}, not {wanted:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let latency = S3Latency::new(seed);
            latency.set(LatencyProfile::Standard);
            [RequestKind::Put; 8].map(|kind| latency.draw(kind))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
