//! `tracing` to stderr: stdout stays free for what a tool prints.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{LogFormat, TelemetryConfig, TelemetryError};

pub(crate) fn install(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.log)?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log_format {
        // Flattened: CloudWatch Logs Insights finds `object.key`, not `fields.object.key`.
        LogFormat::Json => logs.json().flatten_event(true).finish().try_init()?,
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?,
    }
    Ok(())
}
