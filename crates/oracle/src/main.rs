//! `yaks-oracle`: checks the integrity of any Kafka broker. Exit code 0: every invariant held; 1: one did not; 2: could not run.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use oracle::OracleConfig;

/// Checks the integrity of any Kafka broker: concurrent producers log every record to a SQLite ledger, every partition is consumed, and
/// six invariants are checked.
#[derive(Parser)]
#[command(name = "yaks-oracle", version)]
struct Args {
    #[command(flatten)]
    config: OracleConfig,
}

fn main() -> ExitCode {
    match oracle::run(Args::parse().config, &|line| say(line)) {
        Ok(report) => {
            say(&report.to_string());
            if report.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => {
            say(&format!("could not run: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// A closed pipe is no reason to stop judging.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
