//! `yaks-dev`: the whole system in the foreground. `make up` runs it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use dev_stack::cli::Cli;
use dev_stack::config::StackConfig;
use dev_stack::console;
use dev_stack::running::Running;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(EnvFilter::new("warn"))
        .init();
    match run(&cli).await {
        Ok(code) => code,
        Err(error) => {
            console::failed(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    let own_path = std::env::current_exe().context("cannot tell where this program lies")?;
    let config = cli.stack_config(own_path.parent().unwrap_or(Path::new(".")));
    let mut stop = StopSignals::new()?;
    let _follower = cli.verbose.then(|| Follower::start(config.data_dir.join("log")));
    let stack = tokio::select! {
        started = start(config) => started?,
        // Dropping the half-started stack ends it.
        () = stop.next() => return Ok(ExitCode::SUCCESS),
    };
    let code = tokio::select! {
        () = stop.next() => ExitCode::SUCCESS,
        death = stack.died() => {
            console::died(&death);
            ExitCode::FAILURE
        }
    };
    console::stopping();
    tokio::select! {
        () = stack.stop(&console::part) => Ok(code),
        () = stop.next() => Ok(ExitCode::FAILURE),
    }
}

async fn start(config: StackConfig) -> Result<Running> {
    let stack = Running::start_reporting(config, &console::part).await?;
    console::ready(&stack);
    Ok(stack)
}

/// Ctrl-C, and what a service manager or a closed terminal sends.
struct StopSignals([Signal; 3]);

impl StopSignals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Prints the parts' logs until it is dropped.
struct Follower(tokio::task::JoinHandle<()>);

impl Follower {
    fn start(log_dir: PathBuf) -> Self {
        Self(tokio::spawn(console::follow(log_dir)))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}
