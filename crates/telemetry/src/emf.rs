//! Metrics of a function, which nobody scrapes: lines of CloudWatch's embedded metric format on stdout, of which CloudWatch Logs makes
//! metrics. No call is made for them, and no other process is needed.
//!
//! Counters of given lists only: every combination of a metric's labels has a price by the month. What was not counted since
//! the last lines is not in the next ones, and costs nothing.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value, json};
use types::{Metric, MetricKind, MetricUnit, TimestampMs};

use crate::TelemetryError;

/// What was counted and not written yet.
#[derive(Clone, Debug)]
pub struct EmbeddedMetrics {
    namespace: String,
    counts: Arc<Counts>,
}

/// Names and values; CloudWatch calls them dimensions.
type Labels = Vec<(String, String)>;

#[derive(Debug)]
struct Counts {
    listed: Vec<&'static Metric>,
    // A line each. As many as the labels' declared values allow.
    by_labels: Mutex<BTreeMap<Labels, Vec<Count>>>,
}

#[derive(Debug)]
struct Count {
    metric: &'static Metric,
    since: Arc<AtomicU64>,
}

impl EmbeddedMetrics {
    /// Counts the counters of `lists` from now on, for CloudWatch's `namespace`. Once per process.
    pub fn install(namespace: &str, lists: &[&'static [Metric]]) -> Result<Self, TelemetryError> {
        let embedded = Self::new(namespace, lists);
        let recorder = Recording(Arc::clone(&embedded.counts));
        metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Recorder)?;
        Ok(embedded)
    }

    fn new(namespace: &str, lists: &[&'static [Metric]]) -> Self {
        let counters = lists.iter().copied().flatten();
        let counts = Counts {
            listed: counters.filter(|metric| metric.kind == MetricKind::Counter).collect(),
            by_labels: Mutex::default(),
        };
        Self {
            namespace: namespace.to_owned(),
            counts: Arc::new(counts),
        }
    }

    /// Writes what was counted since the last time: a line per set of labels, none if nothing was.
    pub fn write(&self, now: TimestampMs, out: &mut impl Write) -> io::Result<()> {
        let mut lines = String::new();
        for (labels, counts) in self.counts.lock().iter() {
            let counted = counts
                .iter()
                .map(|count| (count.metric, count.since.swap(0, Ordering::Relaxed)));
            let counted: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
            if !counted.is_empty() {
                lines.push_str(&self.document(now, labels, &counted).to_string());
                lines.push('\n');
            }
        }
        // In one piece: nothing comes in between.
        out.write_all(lines.as_bytes())?;
        out.flush()
    }

    fn document(&self, now: TimestampMs, labels: &Labels, counted: &[(&Metric, u64)]) -> Value {
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        let metrics = counted
            .iter()
            .map(|(metric, _)| json!({"Name": metric.name, "Unit": unit(metric.unit)}));
        let directive = json!({
            "Namespace": self.namespace,
            "Dimensions": [names],
            "Metrics": metrics.collect::<Value>(),
        });
        let mut document = json!({"_aws": {"Timestamp": now.0, "CloudWatchMetrics": [directive]}});
        for (name, value) in labels {
            document[name] = value.as_str().into();
        }
        for (metric, count) in counted {
            document[metric.name] = (*count).into();
        }
        document
    }
}

/// CloudWatch's word.
fn unit(unit: MetricUnit) -> &'static str {
    match unit {
        MetricUnit::Count => "Count",
        MetricUnit::Bytes => "Bytes",
        MetricUnit::Seconds => "Seconds",
        // It knows no money.
        MetricUnit::DollarsPerHour => "None",
    }
}

impl Counts {
    fn counter(&self, key: &Key) -> Option<Arc<AtomicU64>> {
        let metric = *self.listed.iter().find(|metric| metric.name == key.name())?;
        let labels = key
            .labels()
            .map(|label| (label.key().to_owned(), label.value().to_owned()));
        let mut by_labels = self.lock();
        let counts = by_labels.entry(labels.collect()).or_default();
        if let Some(count) = counts.iter().find(|count| count.metric.name == metric.name) {
            return Some(Arc::clone(&count.since));
        }
        let since = Arc::default();
        counts.push(Count {
            metric,
            since: Arc::clone(&since),
        });
        Some(since)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Labels, Vec<Count>>> {
        self.by_labels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the process's metrics go; all but listed counters go nowhere.
struct Recording(Arc<Counts>);

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.0.counter(key).map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[cfg(test)]
mod tests {
    use types::MetricLabel;

    use super::*;

    types::metric_list! {
        static LISTED;
        const:
        OBJECTS = Counter "yaks_objects_total" Count [MetricLabel::of("result", &["good", "bad"])] "Objects";
        BYTES = Counter "yaks_bytes_total" Bytes [] "Bytes";
        WAIT = Histogram "yaks_wait_seconds" Seconds [] "Waits";
    }

    fn lines(embedded: &EmbeddedMetrics) -> Vec<Value> {
        let mut out = Vec::new();
        embedded.write(TimestampMs(1_700_000_000_123), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_was_counted_is_written_once_a_line_per_set_of_labels() {
        let embedded = EmbeddedMetrics::new("yaks/test", &[LISTED]);
        metrics::with_local_recorder(&Recording(Arc::clone(&embedded.counts)), || {
            metrics::counter!(OBJECTS, "result" => "good").increment(2);
            metrics::counter!(OBJECTS, "result" => "bad").increment(0);
            metrics::counter!(BYTES).increment(30);
            metrics::counter!(OBJECTS, "result" => "good").increment(1);
        });
        let directive = |dimensions: &[&str], name: &str, unit: &str| {
            json!({
                "Timestamp": 1_700_000_000_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "yaks/test",
                    "Dimensions": [dimensions],
                    "Metrics": [{"Name": name, "Unit": unit}],
                }],
            })
        };
        let expected = [
            json!({"_aws": directive(&[], BYTES, "Bytes"), BYTES: 30}),
            json!({"_aws": directive(&["result"], OBJECTS, "Count"), "result": "good", OBJECTS: 3}),
        ];
        assert_eq!(lines(&embedded), expected);
        assert_eq!(lines(&embedded), [Value::Null; 0]);
    }

    #[test]
    fn what_is_not_listed_and_what_is_no_counter_is_not_written() {
        let embedded = EmbeddedMetrics::new("yaks/test", &[LISTED]);
        metrics::with_local_recorder(&Recording(Arc::clone(&embedded.counts)), || {
            metrics::counter!("yaks_other_total").increment(1);
            metrics::histogram!(WAIT).record(1.0);
            metrics::gauge!("yaks_objects").set(1.0);
        });
        assert_eq!(lines(&embedded), [Value::Null; 0]);
    }
}
