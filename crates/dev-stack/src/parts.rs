//! The parts that are processes, and what can be done to each while the stack runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use private_postgres::PrivatePostgres;
use rustix::process::Signal;

use crate::assemble::GRACE;
use crate::config::{AgentPorts, StackConfig};
use crate::data_dir::DataDir;
use crate::environment::{self, Variables};
use crate::fleet::Fleet;
use crate::part::PartCommand;
use crate::stack::{Death, Report};

/// What ECS gives an agent to finish its requests.
const AGENT_GRACE: Duration = Duration::from_secs(30);

/// Agents, sidecars and Postgres, shared by the stack and its switches.
#[derive(Debug)]
pub(crate) struct Parts {
    // Dropped in this order: the users before what they use.
    pub(crate) agents: Fleet,
    pub(crate) sidecars: Fleet,
    pub(crate) postgres: PrivatePostgres,
    pub(crate) shared_env: Variables,
    pub(crate) config: StackConfig,
    pub(crate) data_dir: DataDir,
}

/// What can be done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// Ends it in order and waits for that.
    Stop,
    /// Ends it with SIGKILL.
    Kill,
    /// Starts it (again) and waits until it is ready.
    Start,
    /// Freezes it with SIGSTOP.
    Pause,
    /// Lets it go on after `Pause`.
    Resume,
}

impl Parts {
    /// Turns a switch of agent `n`.
    pub(crate) async fn switch_agent(&self, n: usize, switch: Switch) -> Result<()> {
        let ports = self.ports(n)?;
        let command = || {
            let mut command = self.command("yaks-agent", &format!("agent-{n}"), AGENT_GRACE);
            command.env.extend(environment::agent(&self.config, n, ports));
            command
        };
        turn(&self.agents, n, switch, command, ports.admin).await
    }

    /// Turns a switch of the sidecar of agent `n`.
    pub(crate) async fn switch_sidecar(&self, n: usize, switch: Switch) -> Result<()> {
        let ports = self.ports(n)?;
        let command = || {
            let mut command = self.command("yaks-cache", &format!("sidecar-{n}"), GRACE);
            let cache = self.data_dir.join("cache");
            command.env.extend(environment::sidecar(&self.config, &cache, n, ports));
            command
        };
        turn(&self.sidecars, n, switch, command, ports.sidecar).await
    }

    /// Turns a switch of Postgres, whose doings block.
    pub(crate) async fn switch_postgres(self: &Arc<Self>, switch: Switch) -> Result<()> {
        let parts = Arc::clone(self);
        let turned = tokio::task::spawn_blocking(move || match switch {
            Switch::Stop => Ok(parts.postgres.stop()?),
            Switch::Kill => Ok(parts.postgres.kill()?),
            Switch::Start => Ok(parts.postgres.start_again()?),
            Switch::Pause => Ok(parts.postgres.pause()?),
            Switch::Resume => Ok(parts.postgres.resume()?),
        });
        turned.await?
    }

    /// Names and process ids of the agents and sidecars that run.
    pub(crate) async fn processes(&self) -> Vec<(String, u32)> {
        let mut running = self.agents.pids().await;
        running.extend(self.sidecars.pids().await);
        running
    }

    /// Starts every sidecar, then every agent, and waits until each is ready.
    pub(crate) async fn start(&self, report: Report<'_>) -> Result<()> {
        if self.config.sidecars {
            for (n, ports) in self.config.agents.iter().enumerate() {
                self.switch_sidecar(n, Switch::Start).await?;
                report(&format!("sidecar {n}"), &format!("http://127.0.0.1:{}", ports.sidecar));
            }
        }
        for (n, ports) in self.config.agents.iter().enumerate() {
            self.switch_agent(n, Switch::Start).await?;
            let detail = format!(
                "localhost:{}, metrics http://127.0.0.1:{}/metrics",
                ports.kafka, ports.admin
            );
            report(&format!("agent {n}"), &detail);
        }
        Ok(())
    }

    /// The first of them that has ended by itself.
    pub(crate) async fn find_ended(&self) -> Option<Death> {
        if let Some(how) = self.postgres.ended() {
            return Some(Death::new("postgres", how, self.log_file("postgres")));
        }
        for fleet in [&self.agents, &self.sidecars] {
            if let Some((part, how, log_file)) = fleet.find_ended().await {
                return Some(Death::new(&part, how, log_file));
            }
        }
        None
    }

    /// `host:port` of every agent, comma-separated, as Kafka clients want it.
    pub(crate) fn bootstrap(&self) -> String {
        let agents = self.config.agents.iter();
        let addresses: Vec<String> = agents.map(|agent| format!("localhost:{}", agent.kafka)).collect();
        addresses.join(",")
    }

    /// Where the parts log to.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }

    /// Stops Postgres, which everything else has been using; blocks until it has ended.
    pub(crate) async fn stop_postgres(self: Arc<Self>, report: Report<'_>) {
        let stopped = tokio::task::spawn_blocking(move || self.postgres.stop()).await;
        let in_order = stopped.is_ok_and(|stopped| stopped.is_ok());
        report("postgres", if in_order { "stopped" } else { "did not stop in order" });
    }

    fn ports(&self, n: usize) -> Result<AgentPorts> {
        let ports = self.config.agents.get(n).copied();
        ports.with_context(|| format!("there is no agent {n}"))
    }

    /// A command for one of our programs, with the settings that all have in common.
    pub(crate) fn command(&self, binary: &str, name: &str, grace: Duration) -> PartCommand {
        PartCommand {
            name: name.to_owned(),
            program: self.config.binaries.join(binary),
            args: Vec::new(),
            env: self.shared_env.clone(),
            log_file: self.log_file(name),
            grace,
        }
    }

    /// Where a part logs to.
    pub(crate) fn log_file(&self, part: &str) -> PathBuf {
        self.data_dir.log(part)
    }
}

async fn turn(
    fleet: &Fleet,
    n: usize,
    switch: Switch,
    command: impl FnOnce() -> PartCommand,
    health_port: u16,
) -> Result<()> {
    match switch {
        Switch::Start => fleet.start(n, &command(), health_port).await,
        Switch::Stop => fleet.stop(n).await.map(drop).context("it does not run"),
        Switch::Kill => {
            fleet.kill(n).await;
            Ok(())
        }
        Switch::Pause => fleet.signal(n, Signal::STOP).await,
        Switch::Resume => fleet.signal(n, Signal::CONT).await,
    }
}
