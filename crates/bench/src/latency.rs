//! Latencies in histograms of three digits, and what is told of them. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer ones count as this: no client waits so long.
const LATENCY_US_MAX: u64 = 600_000_000;

/// The points of a percentile plot: evenly spread over the number of nines.
const CURVE_POINTS: u32 = 60;

/// Latencies of one kind. Where records have a schedule they are counted from there, so that a stall is seen by all that had to
/// wait for its end and not only by the one that was under way ("coordinated omission").
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are ours and valid"))
    }
}

/// What is told of latencies, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the percentiles")]
pub struct LatencySummary {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// Percentile and latency, for plots.
    pub curve: Vec<(f64, f64)>,
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX).max(1));
    }

    /// Counts all of another's.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// What is told of them; nothing when there are none.
    pub fn summary(&self) -> Option<LatencySummary> {
        if self.0.is_empty() {
            return None;
        }
        let at = |percentile| ms(self.0.value_at_percentile(percentile));
        Some(LatencySummary {
            count: self.0.len(),
            mean_ms: self.0.mean() / 1e3,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: ms(self.0.max()),
            curve: (0..=CURVE_POINTS)
                .map(|point| 100.0 - 100.0 / 10f64.powf(f64::from(point) * 4.0 / f64::from(CURVE_POINTS)))
                .map(|percentile| (percentile, at(percentile)))
                .collect(),
        })
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        for n in 1..=1000 {
            latencies.record(Duration::from_millis(n));
        }
        let told = latencies.summary().unwrap();
        for (found, wanted) in [
            (told.p50_ms, 500.0),
            (told.p90_ms, 900.0),
            (told.p99_ms, 990.0),
            (told.p999_ms, 999.0),
            (told.max_ms, 1000.0),
            (told.mean_ms, 500.5),
        ] {
            assert!((found - wanted).abs() <= wanted / 500.0, "{found}, not {wanted}");
        }
        assert_eq!(told.count, 1000);
        assert!(told.curve.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", told.curve);
    }

    #[test]
    fn parts_add_up_and_what_is_too_long_is_kept() {
        let (mut one, mut two) = (Latencies::default(), Latencies::default());
        one.record(Duration::from_millis(1));
        two.record(Duration::from_secs(1_000_000));
        one.add(&two);
        let told = one.summary().unwrap();
        assert_eq!(told.count, 2);
        assert!(told.max_ms >= 600_000.0, "{}", told.max_ms);
    }
}
