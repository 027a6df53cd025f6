//! `yaks-conformance`: every Kafka client's own package tells the same story to the real programs, in three layouts: one
//! agent, two agents, two agents behind one address. `make conformance` installs the clients and runs it.
//!
//! A client is a program in its own language below `clients/`. It prints one line per feature, see `said`; which features
//! it has to speak of is in `catalog`. What was not said has failed.

mod catalog;
mod config;
mod docs;
mod ground;
mod layout;
mod nginx;
mod program;
mod run;
mod said;
mod say;
mod table;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new("warn"))
        .init();
    let ended = tokio::select! {
        ended = run::run(&config) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say::line(&format!("could not run: {error:#}"));
            ExitCode::from(2)
        }
    }
}
