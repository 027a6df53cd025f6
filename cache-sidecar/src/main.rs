//! `yaks-cache`: the cache sidecar.

use std::process::ExitCode;

use cache_sidecar::config::Command;
use cache_sidecar::{CacheConfig, config, run};

fn main() -> ExitCode {
    let config: CacheConfig = match daemon::parse_settings(&config::ALIASES) {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    if let Some(Command::Health) = config.command {
        return match daemon::ask_alive(config.port) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.into()),
        };
    }
    let telemetry = match telemetry::init(&config.telemetry, "cache") {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error.into()),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(config, telemetry)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word, also where logging could not be set up"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("yaks-cache: {error:#}");
    ExitCode::FAILURE
}
