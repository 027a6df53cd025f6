//! Collects the metrics of the product during a run: how often a slot was lost, a commit came late, a tombstone was written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::scribe::Counts;

/// Counters by name and labels; gauges and histograms are not of interest.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    /// Every counter.
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Recorder for Tally {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}
    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}
    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        let labels: BTreeMap<&str, &str> = key.labels().map(|label| (label.key(), label.value())).collect();
        let name = labels.iter().fold(key.name().to_owned(), |name, (key, value)| {
            format!("{name} {key}={value}")
        });
        Counter::from_arc(Arc::new(One {
            name,
            tally: self.clone(),
        }))
    }

    fn register_gauge(&self, _key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

struct One {
    name: String,
    tally: Tally,
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        let mut counts = self.tally.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(self.name.clone()).or_default() += value;
    }

    fn absolute(&self, value: u64) {
        let mut counts = self.tally.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(self.name.clone(), value);
    }
}
