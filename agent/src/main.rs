//! `yaks-agent`: the Kafka broker.

use std::process::ExitCode;

use agent::config::{ALIASES, Command, Config};
use agent::run::{migrate, run};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = match daemon::parse_settings(ALIASES) {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    match start(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config) -> anyhow::Result<()> {
    config.validate().map_err(anyhow::Error::msg)?;
    let telemetry = telemetry::init(&config.telemetry, "yaks-agent")?;
    match config.command {
        Some(Command::Migrate) => migrate(&config).await,
        None => run(config, telemetry, daemon::token_on_signal()?).await,
    }
}
