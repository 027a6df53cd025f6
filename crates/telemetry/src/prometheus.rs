//! The process's metrics registry, rendered when Prometheus asks.

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

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

/// The registry of this process.
#[derive(Clone)]
pub struct Telemetry(PrometheusHandle);

impl Telemetry {
    /// All metrics in Prometheus's text format.
    pub fn render_metrics(&self) -> String {
        self.0.render()
    }

    /// Folds recorded values into their buckets. Has to run every few seconds: until it does, or somebody scrapes,
    /// every value recorded in a histogram stays in memory.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}

pub(crate) fn install() -> Result<Telemetry, BuildError> {
    Ok(Telemetry(builder()?.install_recorder()?))
}

pub(crate) fn record_build_info(service: &'static str) {
    describe_gauge!("yaks_build_info", "Always 1; the labels say what runs here");
    gauge!("yaks_build_info", "service" => service, "version" => types::VERSION, "commit" => types::COMMIT).set(1.0);
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
        let telemetry = Telemetry(recorder.handle());
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
}
