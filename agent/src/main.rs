//! `yaks-agent`: the Kafka broker.

use std::process::ExitCode;
use std::time::Duration;

use agent::config::{ALIASES, Command, Config};
use agent::process::{migrate, serve};

/// How long the last spans may take, once everybody has been served.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

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
    if let Some(Command::Health) = config.command {
        // Asked every few seconds, and nobody reads its log.
        return daemon::ask_livez(config.broker.metrics_port).await;
    }
    // First of all: an error that nobody sees helps nobody.
    let (telemetry, traces) = telemetry::init(&config.telemetry, "yaks-agent")?;
    let ended = if let Some(Command::Migrate(what)) = &config.command {
        migrate(&config, what).await
    } else {
        config.validate().map_err(anyhow::Error::msg)?;
        serve(config, telemetry, daemon::token_on_signal()?).await
    };
    traces.flush(FLUSH_DEADLINE).await;
    ended
}
