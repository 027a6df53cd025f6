//! `yaks-cache`: the cache sidecar.

use std::process::ExitCode;
use std::time::Duration;

use cache_sidecar::config::Command;
use cache_sidecar::{CacheConfig, config, run};

/// How long the last spans may take, once everybody has been served.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let config: CacheConfig = match daemon::parse_settings(&config::ALIASES) {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&error.into());
            return ExitCode::FAILURE;
        }
    };
    let ended = match config.command {
        Some(Command::Health) => runtime.block_on(daemon::ask_livez(config.port)),
        None => runtime.block_on(start(config)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

async fn start(config: CacheConfig) -> anyhow::Result<()> {
    let (telemetry, traces) = telemetry::init(&config.telemetry, "yaks-cache")?;
    let ended = run(config, telemetry).await;
    traces.flush(FLUSH_DEADLINE).await;
    ended
}

/// Says why the process ends: in the log, where alarms look for it, and in plain text when it ended before there was one.
#[expect(clippy::print_stderr, reason = "there may be no log to write to")]
fn report(error: &anyhow::Error) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{error:#}");
    } else {
        eprintln!("yaks-cache: {error:#}");
    }
}
