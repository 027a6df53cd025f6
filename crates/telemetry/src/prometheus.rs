//! The process's metrics registry, rendered when Prometheus asks.

use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use types::{Metric, MetricKind, MetricLabel, MetricUnit};

/// From a cache hit (0.1 ms) to an S3 call that ran into its time limit (25 s), each step about 2.5 times the last:
/// fine enough for a p99 within a factor of two, coarse enough for 17 series per label set.
const SECONDS_BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// From one record to the largest frame (100 MiB), in steps of four.
const BYTES_BUCKETS: [f64; 11] = [
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
];

const SERVICE: MetricLabel = MetricLabel::open("service", &[], "the three programs");
const VERSION: MetricLabel = MetricLabel::open("version", &[], "one per process");
const COMMIT: MetricLabel = MetricLabel::open("commit", &[], "one per process");

types::metric_list! {
    /// The metrics that every process has.
    pub static METRICS;
    const:
    BUILD_INFO = Gauge "yaks_build_info" Count [SERVICE, VERSION, COMMIT] "Always 1; the labels say what runs here";
}

/// The registry of this process.
#[derive(Clone)]
pub struct Telemetry {
    registry: PrometheusHandle,
    /// What the last [`Telemetry::show`] set.
    shown: Arc<Mutex<Option<PrometheusHandle>>>,
}

impl Telemetry {
    fn new(registry: PrometheusHandle) -> Self {
        Self {
            registry,
            shown: Arc::default(),
        }
    }

    /// Tells what `metrics` mean, and serves them from now on: a counter that appears with its first event shows no increase then.
    pub fn register(&self, metrics: &[Metric]) {
        serve(metrics);
    }

    /// Shows `metrics`, which are in no registry, as `set` sets them, in place of what the last call set: a series that is not set any
    /// more is gone, which no series of a registry ever is.
    pub fn show(&self, metrics: &[Metric], set: impl FnOnce()) {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            serve(metrics);
            set();
        });
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorder.handle());
    }

    /// All metrics in Prometheus's text format.
    pub fn render_metrics(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shown = shown.map(|shown| shown.render()).unwrap_or_default();
        self.registry.render() + &shown
    }

    /// Folds recorded values into their buckets. Has to run every few seconds: until it does, or somebody scrapes,
    /// every value recorded in a histogram stays in memory.
    pub fn run_upkeep(&self) {
        self.registry.run_upkeep();
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}

pub(crate) fn install() -> Result<Telemetry, BuildError> {
    Ok(Telemetry::new(builder()?.install_recorder()?))
}

pub(crate) fn record_build_info(service: &'static str) {
    METRICS.iter().for_each(describe);
    gauge!(BUILD_INFO, "service" => service, "version" => types::VERSION, "commit" => types::COMMIT).set(1.0);
}

fn serve(metrics: &[Metric]) {
    for metric in metrics {
        describe(metric);
        for labels in labels_at_start(metric.labels) {
            serve_at_zero(metric, labels);
        }
    }
}

fn describe(metric: &Metric) {
    let unit = match metric.unit {
        // For dollars the library has no word.
        MetricUnit::Count | MetricUnit::DollarsPerHour => Unit::Count,
        MetricUnit::Bytes => Unit::Bytes,
        MetricUnit::Seconds => Unit::Seconds,
    };
    match metric.kind {
        MetricKind::Counter => describe_counter!(metric.name, unit, metric.help),
        MetricKind::Gauge => describe_gauge!(metric.name, unit, metric.help),
        MetricKind::Histogram => describe_histogram!(metric.name, unit, metric.help),
    }
}

fn serve_at_zero(metric: &Metric, labels: Vec<Label>) {
    match metric.kind {
        MetricKind::Counter => counter!(metric.name, labels).increment(0),
        MetricKind::Gauge => gauge!(metric.name, labels).increment(0.0),
        MetricKind::Histogram => drop(histogram!(metric.name, labels)),
    }
}

/// Every combination of the values that labels have from the start.
fn labels_at_start(labels: &[MetricLabel]) -> Vec<Vec<Label>> {
    let mut combinations = vec![Vec::new()];
    for label in labels {
        let with = |value: &'static str| Label::from_static_parts(label.name, value);
        let extended = combinations.iter().flat_map(|combination: &Vec<Label>| {
            let values = label.at_start.iter();
            values.map(|value| [combination.as_slice(), &[with(value)]].concat())
        });
        combinations = extended.collect();
    }
    combinations
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rendered_as_buckets_and_the_build_is_named() {
        let recorder = builder().unwrap().build_recorder();
        let telemetry = Telemetry::new(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            record_build_info("agent");
            metrics::histogram!("yaks_x_duration_seconds").record(0.003);
        });
        let text = telemetry.render_metrics();
        assert!(
            text.contains(r#"yaks_x_duration_seconds_bucket{le="0.005"} 1"#),
            "{text}"
        );
        let build = format!(
            r#"yaks_build_info{{service="agent",version="{}",commit="{}"}} 1"#,
            types::VERSION,
            types::COMMIT
        );
        assert!(text.contains(&build), "{text}");
    }

    #[test]
    fn what_is_registered_is_served_before_it_happens() {
        static LISTED: &[Metric] = &[
            Metric {
                name: "yaks_a_total",
                kind: MetricKind::Counter,
                unit: MetricUnit::Count,
                labels: &[
                    MetricLabel::of("x", &["1", "2"]),
                    MetricLabel::open("y", &["3"], "more of them"),
                ],
                help: "Things",
            },
            Metric {
                name: "yaks_b_seconds",
                kind: MetricKind::Histogram,
                unit: MetricUnit::Seconds,
                labels: &[],
                help: "Waits",
            },
        ];
        let recorder = builder().unwrap().build_recorder();
        let telemetry = Telemetry::new(recorder.handle());
        metrics::with_local_recorder(&recorder, || telemetry.register(LISTED));
        let text = telemetry.render_metrics();
        for line in [
            "# HELP yaks_a_total Things",
            r#"yaks_a_total{x="1",y="3"} 0"#,
            r#"yaks_a_total{x="2",y="3"} 0"#,
            "# TYPE yaks_b_seconds histogram",
            "yaks_b_seconds_count 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn a_shown_series_lasts_until_the_next_show() {
        static LISTED: &[Metric] = &[Metric {
            name: "yaks_c",
            kind: MetricKind::Gauge,
            unit: MetricUnit::DollarsPerHour,
            labels: &[MetricLabel::open("topic", &["(others)"], "some of them")],
            help: "Cost",
        }];
        let recorder = builder().unwrap().build_recorder();
        let telemetry = Telemetry::new(recorder.handle());
        metrics::with_local_recorder(&recorder, || counter!("yaks_d_total").increment(1));
        let set = |topic: &'static str| telemetry.show(LISTED, || gauge!("yaks_c", "topic" => topic).set(1.5));
        set("gone");
        set("there");
        let text = telemetry.render_metrics();
        for line in [
            "# HELP yaks_c Cost",
            r#"yaks_c{topic="(others)"} 0"#,
            r#"yaks_c{topic="there"} 1.5"#,
            "yaks_d_total 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("gone"), "{text}");
    }
}
