//! One client's program: started, given time, and read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use private_postgres::leash::{Leash, LeashedChild, describe};
use tokio::time::Instant;

use crate::catalog::Client;
use crate::said::{self, Said};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where a client's program lies and where its output goes.
pub(crate) struct Program<'a> {
    pub(crate) client: &'a Client,
    pub(crate) installed: &'a Path,
    pub(crate) timeout: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// The machine lacks something.
    NotRun(String),
    Ran(Said),
}

impl Program<'_> {
    /// Runs it against the brokers at `bootstrap`. `run` sets its topics and groups apart from those of others.
    pub(crate) async fn run(&self, bootstrap: &str, run: &str) -> Result<Report> {
        let folder = self.installed.join(self.client.name);
        let program = folder.join("run");
        if !program.exists() {
            return Ok(Report::NotRun(why_missing(&folder)));
        }
        let (output, errors) = self.logs(run)?;
        let mut command = Command::new(program);
        command.args([bootstrap, run]);
        let (stdout, stderr) = (File::create(&output)?, File::create(&errors)?);
        let child = Leash::default().spawn(&command, |shell| {
            shell.stdout(stdout).stderr(stderr);
        });
        let child = child.with_context(|| format!("cannot start {}", self.client.name))?;
        let ending = self.wait(child).await?;
        let output = fs::read(output)?;
        let said = said::read(&String::from_utf8_lossy(&output), self.client.suite.features(), &ending);
        Ok(Report::Ran(said))
    }

    fn logs(&self, run: &str) -> Result<(PathBuf, PathBuf)> {
        let folder = self.installed.join("logs");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok((folder.join(format!("{run}.out")), folder.join(format!("{run}.err"))))
    }

    async fn wait(&self, mut child: LeashedChild) -> Result<String> {
        let deadline = Instant::now() + self.timeout;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return Ok(describe(status));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        child.kill()?;
        Ok(format!("it had not ended after {} s", self.timeout.as_secs()))
    }
}

fn why_missing(folder: &Path) -> String {
    let reason = fs::read_to_string(folder.join("missing")).unwrap_or_default();
    match reason.trim() {
        "" => "it is not installed: crates/conformance/install.sh does it".to_owned(),
        reason => reason.to_owned(),
    }
}
