//! What is logged, and how.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for people, coloured on a terminal.
    Human,
    /// One JSON object per line, for CloudWatch and its kin.
    Json,
}

/// Settings of logs and metrics; shared by every deployable.
#[derive(Args, Clone, Debug)]
pub struct TelemetryConfig {
    /// Which log lines to write, as `tracing` filters: a level, or `target=level` pairs with commas between them.
    /// `debug` logs every request and every outside call: expect half the throughput.
    #[arg(
        long = "log",
        env = "YAKS_LOG",
        value_name = "YAKS_LOG",
        default_value = "info",
        value_parser = parse_filter
    )]
    pub log: String,
    /// How a log line looks: `human` or `json`.
    #[arg(
        long = "log-format",
        env = "YAKS_LOG_FORMAT",
        value_name = "YAKS_LOG_FORMAT",
        value_enum,
        default_value = "human"
    )]
    pub log_format: LogFormat,
    /// Whether to export traces over OTLP (HTTP, protobuf). Where to and how many is said by OpenTelemetry's own variables, such as
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` (default `http://localhost:4318`), `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER` with
    /// `OTEL_TRACES_SAMPLER_ARG` (default: every request; `parentbased_traceidratio` and `0.01` take one of a hundred),
    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. Prometheus metrics are always served.
    #[arg(
        long = "otel-enabled",
        env = "YAKS_OTEL_ENABLED",
        value_name = "YAKS_OTEL_ENABLED",
        action = clap::ArgAction::Set,
        default_value = "false"
    )]
    pub otel_enabled: bool,
}

fn parse_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        telemetry: TelemetryConfig,
    }

    fn parse(args: &[&str]) -> Result<TelemetryConfig, clap::Error> {
        <Cli as clap::Parser>::try_parse_from([&["x"], args].concat()).map(|cli| cli.telemetry)
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_variable() {
        for (arg, variable) in [
            ("--log=x=loud", "YAKS_LOG"),
            ("--log-format=xml", "YAKS_LOG_FORMAT"),
            ("--otel-enabled=2", "YAKS_OTEL"),
        ] {
            let message = parse(&[arg]).unwrap_err().to_string();
            assert!(message.contains(variable), "{message}");
        }
    }
}
