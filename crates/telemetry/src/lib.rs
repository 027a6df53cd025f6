//! Logs to stderr, metrics for Prometheus or CloudWatch, and traces over OTLP, set up once per process.
//!
//! `init` is for the long-running deployables; `init_function` is for the Lambda, which nobody scrapes and whose cold
//! start should not pay for a registry.

mod config;
mod emf;
mod logs;
mod otlp;
mod otlp_http;
mod prometheus;
mod sampler;
mod trace_context;

use opentelemetry_aws::detector::{EcsResourceDetector, LambdaResourceDetector};
use opentelemetry_sdk::resource::ResourceDetector;

pub use config::{LogFormat, TelemetryConfig};
pub use emf::EmbeddedMetrics;
pub use otlp::Traces;
pub use prometheus::{METRICS, Telemetry};
pub use trace_context::{TRACEPARENT, TraceContext, follow};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `OTEL_TRACES_SAMPLER` or its argument is wrong.
    #[error("{0}")]
    Sampler(String),
    /// Spans cannot be exported as the settings say.
    #[error("traces cannot be exported over OTLP (YAKS_OTEL_ENABLED, OTEL_EXPORTER_OTLP_ENDPOINT): {0}")]
    Otlp(String),
    /// `YAKS_LOG` is no filter.
    #[error("YAKS_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody in this process was first.
    #[error("logging is set up already: {0}")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    /// Somebody in this process was first, or a metric's buckets are wrong.
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// Somebody in this process was first.
    #[error("metrics are set up already")]
    Recorder,
}

/// Logs to stderr, traces if they are wanted, and a metrics registry that `Telemetry::render_metrics` shows. Once per process, within a
/// runtime. In a container of ECS that is asked what it is.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<(Telemetry, Traces), TelemetryError> {
    let traces = init_logs(config, service, || Box::new(EcsResourceDetector))?;
    let telemetry = prometheus::install()?;
    prometheus::record_build_info(service);
    Ok((telemetry, traces))
}

/// Logs to stderr and traces only: metrics go nowhere and cost nearly nothing, unless `EmbeddedMetrics` takes some of them. Once per process,
/// within a runtime.
pub fn init_function(config: &TelemetryConfig, service: &'static str) -> Result<Traces, TelemetryError> {
    init_logs(config, service, || Box::new(LambdaResourceDetector))
}

fn init_logs(
    config: &TelemetryConfig,
    service: &'static str,
    platform: impl FnOnce() -> Box<dyn ResourceDetector>,
) -> Result<Traces, TelemetryError> {
    if !config.otel_enabled {
        logs::install(config)?;
        return Ok(Traces::default());
    }
    let (traces, tracer) = otlp::start(service, platform())?;
    logs::install_with_traces(config, tracer)?;
    Ok(traces)
}
