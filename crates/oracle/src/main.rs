//! `yaks-oracle`: checks the integrity of any Kafka broker; `yaks-oracle audit` that of a deployment of yaks from behind. Exit code
//! 0: everything held; 1: something did not; 2: could not run.

mod audit_command;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use oracle::OracleConfig;
use oracle::audit::AuditConfig;

/// Checks the integrity of any Kafka broker: concurrent producers log every record to a SQLite ledger, every partition is consumed, and
/// six invariants are checked.
#[derive(Parser)]
#[command(name = "yaks-oracle", version = types::version(), args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: OracleConfig,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a live deployment's index against its bucket, read only.
    Audit(Box<AuditConfig>),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let passed = match args.command {
        Some(Command::Audit(config)) => audit_command::run(&config),
        None => judge(args.config),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("could not run: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn judge(config: OracleConfig) -> anyhow::Result<bool> {
    let report = oracle::run(config, &|line| say(line))?;
    say(&report.to_string());
    Ok(report.passed())
}

/// A closed pipe is no reason to stop judging.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_without_a_subcommand_are_those_of_a_run() {
        let args = Args::try_parse_from(["yaks-oracle", "--brokers", "a:1,b:2", "--records", "5"]).unwrap();
        assert!(args.command.is_none());
        assert_eq!((args.config.brokers.len(), args.config.records), (2, 5));
    }

    #[test]
    fn an_audit_takes_the_settings_of_the_agent() {
        let flags = [
            "yaks-oracle",
            "audit",
            "--db-host=h",
            "--s3-bucket=b",
            "--unsequenced-max-age=5m",
        ];
        let Some(Command::Audit(config)) = Args::try_parse_from(flags).unwrap().command else {
            panic!("an audit was asked for");
        };
        assert_eq!((config.postgres.host.as_str(), config.s3.bucket.as_str()), ("h", "b"));
        assert_eq!(config.unsequenced_max_age.as_secs(), 300);
        assert!(Args::try_parse_from(["yaks-oracle", "--records", "5", "audit"]).is_err());
    }
}
