//! `yaks-chaos`: the real programs under load, with seeded faults of every kind, several at once; then everything is
//! healed and drained, and the oracle judges whether what was acked is there, once, and in order. `make chaos` runs it.

mod census;
mod config;
mod dice;
mod drain;
mod fault;
mod inspect;
mod load;
mod report;
mod run;
mod say;
mod strike;
mod tail;
mod tracks;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use types::{Entropy as _, SystemEntropy};

use crate::config::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    // What the stack has to say about the faults it was asked for is no news.
    let filter = EnvFilter::try_from_env("YAKS_CHAOS_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
    let seed = config.seed.unwrap_or_else(|| SystemEntropy.next_u64() >> 32);
    let ended = tokio::select! {
        ended = run::run(&config, seed) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
    };
    match ended {
        Ok(report) => {
            say::line(&format!("\n{}", report.markdown()));
            if report.passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => {
            say::line(&format!("could not run with seed {seed}: {error:#}"));
            ExitCode::from(2)
        }
    }
}
