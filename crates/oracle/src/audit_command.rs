//! The audit on the command line: findings and summary to stdout, progress to stderr.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use oracle::audit::{self, AuditConfig, AuditState, Check, Ended, Finding, Listener};
use serde_json::json;

use crate::say;

/// Audits; whether nothing was found that speaks against the deployment.
pub(crate) fn run(config: &AuditConfig) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(audit(config))
}

async fn audit(config: &AuditConfig) -> anyhow::Result<bool> {
    let mut terminal = Terminal {
        json: config.json,
        state: config.state.clone(),
    };
    let stop = async {
        // Without a handler there is nothing to wait for: Ctrl-C then ends the process at once, as ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match audit::run(config, &mut terminal, stop).await? {
        Ended::Done(state) => {
            terminal.sum_up(&state);
            if let Some(path) = &config.state {
                forget(path)?;
            }
            Ok(state.tally.failures() == 0)
        }
        Ended::Stopped(state) => {
            terminal.sum_up(&state);
            match &config.state {
                Some(path) => bail!("stopped; the same command goes on from {}", path.display()),
                None => bail!("stopped before the end"),
            }
        }
    }
}

fn forget(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not delete {}", path.display()))
        }
        _ => Ok(()),
    }
}

struct Terminal {
    json: bool,
    state: Option<PathBuf>,
}

impl Terminal {
    fn sum_up(&self, state: &AuditState) {
        let tally = &state.tally;
        if self.json {
            let summary = json!({ "summary": tally, "failures": tally.failures() });
            return say(&summary.to_string());
        }
        for check in Check::ALL {
            let (name, things) = check.name();
            let checked = tally.checked.get(&check).copied().unwrap_or_default();
            let (failures, notes) = tally.of(check);
            let word = if failures == 0 { "PASS" } else { "FAIL" };
            say(&format!(
                "{word}  {name:<8} {checked} {things}, {failures} failures, {notes} notes"
            ));
        }
        say(if tally.failures() == 0 { "PASS." } else { "FAIL." });
    }
}

impl Listener for Terminal {
    fn found(&mut self, finding: &Finding) {
        if self.json {
            say(&json!(finding).to_string());
        } else {
            say(&finding.to_string());
        }
    }

    fn progress(&mut self, state: &AuditState, bytes_read: u64) {
        let Some(check) = state.phase.check() else { return };
        let (name, things) = check.name();
        let checked = state.tally.checked.get(&check).copied().unwrap_or_default();
        let line = format!(
            "{name}: {checked} {things}, {} MiB read, {} failures so far",
            bytes_read >> 20,
            state.tally.failures()
        );
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn keep(&mut self, state: &AuditState) -> anyhow::Result<()> {
        match &self.state {
            Some(path) => state.save(path),
            None => Ok(()),
        }
    }
}
