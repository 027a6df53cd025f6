//! What came when, and what the load was doing: the report's table.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use oracle::ProduceSummary;
use serde::Serialize;

use crate::fault::Fault;

/// One kind of fault over the whole run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Count {
    /// How often it was brought about.
    pub(crate) strikes: u64,
    /// How often it hit something: a process, a request, an event.
    pub(crate) hits: u64,
    /// Strikes that hit while records were in flight from their beginning on.
    pub(crate) with_writes_in_flight: u64,
    /// Most records in flight at the beginning of a strike.
    pub(crate) in_flight_max: u64,
    /// Records acked during its strikes.
    pub(crate) acked_meanwhile: u64,
    /// How long it lasted, all strikes together.
    pub(crate) seconds: f64,
}

/// Written by all tracks.
#[derive(Debug, Default)]
pub(crate) struct Census(Mutex<BTreeMap<Fault, Count>>);

impl Census {
    /// Counts a strike that hit `hits` times between two looks at the load.
    pub(crate) fn add(&self, fault: Fault, hits: u64, before: ProduceSummary, after: ProduceSummary, seconds: f64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(fault).or_default();
        count.strikes += 1;
        count.hits += hits;
        count.with_writes_in_flight += u64::from(hits > 0 && before.in_flight() > 0);
        count.in_flight_max = count.in_flight_max.max(before.in_flight());
        count.acked_meanwhile += after.acked.saturating_sub(before.acked);
        count.seconds += seconds;
    }

    pub(crate) fn counts(&self) -> BTreeMap<Fault, Count> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |fault| (fault, counts.get(&fault).cloned().unwrap_or_default());
        Fault::ALL.into_iter().map(of).collect()
    }

    /// The kinds among `faults` that have not come yet while records were in flight.
    pub(crate) fn missing(&self, faults: &[Fault]) -> Vec<Fault> {
        let counts = self.counts();
        let came = |fault: &Fault| counts.get(fault).is_some_and(|count| count.with_writes_in_flight > 0);
        faults.iter().copied().filter(|fault| !came(fault)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_without_a_hit_or_without_a_write_in_flight_is_still_missing() {
        let census = Census::default();
        let load = |sent, acked| ProduceSummary { sent, acked, failed: 0 };
        census.add(Fault::S3Fails, 0, load(10, 5), load(20, 20), 1.0);
        census.add(Fault::S3Resets, 3, load(10, 10), load(20, 20), 1.0);
        census.add(Fault::S3Slow, 3, load(10, 5), load(20, 20), 1.5);
        let faults = [Fault::S3Fails, Fault::S3Resets, Fault::S3Slow];
        assert_eq!(census.missing(&faults), [Fault::S3Fails, Fault::S3Resets]);
        let slow = &census.counts()[&Fault::S3Slow];
        assert_eq!((slow.hits, slow.in_flight_max, slow.acked_meanwhile), (3, 5, 15));
    }
}
