//! `tracing` to stderr: stdout stays free for what a tool prints. And to a tracer, if there is one.

use std::io::IsTerminal;

use opentelemetry_sdk::trace::SdkTracer;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::otlp::is_exported;
use crate::{LogFormat, TelemetryConfig, TelemetryError};

pub(crate) fn install(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.log)?;
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        // Flattened: CloudWatch Logs Insights finds `object.key`, not `fields.object.key`.
        LogFormat::Json => logs.json().flatten_event(true).finish().try_init()?,
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?,
    }
    Ok(())
}

/// Logs, and the spans of `EXPORTED` to `tracer`, whatever `YAKS_LOG` says. Each has a filter of its own, which costs a little more per
/// span than the one above.
pub(crate) fn install_with_traces(config: &TelemetryConfig, tracer: SdkTracer) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.log)?;
    let logs = fmt::layer().with_writer(std::io::stderr);
    let logs = match config.log_format {
        LogFormat::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Human => logs
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
    };
    let traces = OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(is_exported));
    registry().with(logs).with(traces).try_init()?;
    Ok(())
}
