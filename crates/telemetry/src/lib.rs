//! Logs to stderr and metrics for Prometheus, set up once per process.
//!
//! `init` is for the long-running deployables; `init_logs` is for the Lambda, which nobody scrapes and whose cold
//! start should not pay for a registry.

mod config;
mod logs;
mod prometheus;

pub use config::{LogFormat, TelemetryConfig};
pub use prometheus::{METRICS, Telemetry};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Asked for something that this build cannot do; going on without it would hide that.
    #[error("YAKS_OTEL_ENABLED=true: OTLP export is not built yet, unset it; metrics are served on /metrics")]
    OtlpNotBuilt,
    /// `YAKS_LOG` is no filter.
    #[error("YAKS_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody in this process was first.
    #[error("logging is set up already: {0}")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    /// Somebody in this process was first, or a metric's buckets are wrong.
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Logs to stderr, and a metrics registry that `Telemetry::render_metrics` shows. Once per process.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<Telemetry, TelemetryError> {
    init_logs(config)?;
    let telemetry = prometheus::install()?;
    prometheus::record_build_info(service);
    Ok(telemetry)
}

/// Logs to stderr only: metrics go nowhere and cost nearly nothing. Once per process.
pub fn init_logs(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    if config.otel_enabled {
        return Err(TelemetryError::OtlpNotBuilt);
    }
    logs::install(config)
}
