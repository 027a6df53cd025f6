//! A child process of the stack: how it is started, where it logs, how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use private_postgres::leash::{Leash, LeashedChild, describe};
use rustix::process::Signal;

/// How many lines of a log tell why a part ended.
const TAIL_LINES: usize = 50;

/// What to start.
#[derive(Clone, Debug)]
pub struct PartCommand {
    /// Its name in messages.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables to set; the rest of the environment is ours.
    pub env: Vec<(String, String)>,
    /// Where standard output and error go; appended.
    pub log_file: PathBuf,
    /// How long it may take to stop.
    pub grace: Duration,
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Part {
    name: String,
    log_file: PathBuf,
    child: LeashedChild,
}

impl PartCommand {
    /// Starts it.
    pub fn start(&self) -> anyhow::Result<Part> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        let opened = fs::OpenOptions::new().create(true).append(true).open(&self.log_file);
        let output = opened.with_context(|| format!("cannot write {}", self.log_file.display()))?;
        let errors = output.try_clone()?;
        let leash = Leash {
            grace: self.grace,
            // S3 and the Lambda service went with us: an agent that tried to finish its writes would only hold its port.
            orphan_signal: Signal::KILL,
            ..Leash::default()
        };
        let child = leash.spawn(&command, |shell| {
            shell.stdout(output).stderr(errors);
        });
        let child = child.with_context(|| format!("cannot start {} ({})", self.name, self.program.display()))?;
        Ok(Part {
            name: self.name.clone(),
            log_file: self.log_file.clone(),
            child,
        })
    }

    /// Starts it and waits for its end; what it logged is the error if it fails.
    pub async fn run(&self) -> anyhow::Result<()> {
        let mut part = self.start()?;
        let status = loop {
            match part.child.try_wait()? {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        anyhow::ensure!(
            status.success(),
            "{} failed ({}):\n{}",
            self.name,
            describe(status),
            tail(&self.log_file)
        );
        Ok(())
    }
}

impl Part {
    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it logs to.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(describe)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let sent = self.child.signal(signal);
        sent.with_context(|| format!("cannot signal {}", self.name))
    }

    /// Asks it to stop, and kills it when it takes too long. Returns how it ended.
    pub async fn stop(mut self) -> String {
        let name = self.name.clone();
        let stopped = tokio::task::spawn_blocking(move || self.child.stop()).await;
        match stopped {
            Ok(Ok(status)) => describe(status),
            Ok(Err(error)) => format!("{name} could not be stopped: {error}"),
            Err(error) => format!("{name} could not be stopped: {error}"),
        }
    }

    /// Ends it with SIGKILL, as a crash would.
    pub fn kill(mut self) {
        if let Err(error) = self.child.kill() {
            tracing::warn!(part = self.name, %error, "cannot be killed");
        }
    }
}

/// The last lines of a log.
pub fn tail(log_file: &Path) -> String {
    let log = fs::read(log_file).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
