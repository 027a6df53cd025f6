//! Latencies by the part of the run in which their records were due. Pure.

use std::time::Duration;

use crate::latency::Latencies;

/// The warm-up and at most two measured parts.
pub(super) const PHASES: usize = 3;

/// Latencies of one kind, by phase. Those of the warm-up are not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies([Latencies; PHASES]);

impl Tallies {
    /// Counts a record that was due in `phase`.
    pub(super) fn record(&mut self, phase: u8, latency: Duration) {
        if phase == 0 {
            return;
        }
        if let Some(latencies) = self.0.get_mut(usize::from(phase)) {
            latencies.record(latency);
        }
    }

    /// Counts all of another's.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, other)| sum.add(other));
    }

    /// Those of one phase.
    pub(super) fn of(&self, phase: usize) -> &Latencies {
        &self.0[phase]
    }
}
