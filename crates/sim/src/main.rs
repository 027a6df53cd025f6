//! `yaks-sim`: seeded runs of a whole cluster in virtual time, judged by the oracle.

mod cli;
mod report;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(&cli::Arguments::parse())
}
