//! `yaks-agent`: the Kafka broker.

use std::process::ExitCode;

use agent::config::{ALIASES, Command, Config};
use agent::process::{migrate, serve};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = match daemon::parse_settings(ALIASES) {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    match start(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says why the process ends; in plain text when it ended before there was a log.
#[expect(clippy::print_stderr, reason = "there may be no log to write to")]
fn report(error: &anyhow::Error) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{error:#}");
    } else {
        eprintln!("yaks-agent: {error:#}");
    }
}

async fn start(config: Config) -> anyhow::Result<()> {
    // First of all: an error that nobody sees helps nobody.
    let telemetry = telemetry::init(&config.telemetry, "yaks-agent")?;
    match config.command {
        Some(Command::Health) => Ok(daemon::ask_alive(config.broker.metrics_port)?),
        Some(Command::Migrate) => migrate(&config).await,
        None => {
            config.validate().map_err(anyhow::Error::msg)?;
            serve(config, telemetry, daemon::token_on_signal()?).await
        }
    }
}
