//! A dev-stack for one case: `yaks-dev` in a process of its own, so that neither its S3 nor its queue is taken for the generator.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use private_postgres::leash::{Leash, LeashedChild, describe};

use crate::config::TargetFlags;
use crate::probe::process::Process;
use crate::probe::s3::{self as http, S3Counts};

const START_TIMEOUT: Duration = Duration::from_secs(120);
/// An event may wait for its delay, and once more for its visibility timeout.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
/// What `yaks-dev` prints when all its parts are.
const READY: &str = "\nready;";
/// Agent n has this for health and metrics, see `AgentPorts`.
const ADMIN_STEP: u16 = 100;

/// What a case needs.
#[derive(Clone, Debug)]
pub(super) struct StackPlan<'a> {
    pub(super) binaries: &'a Path,
    /// Kept between stacks of the same directory.
    pub(super) data_dir: PathBuf,
    pub(super) agents: u16,
    pub(super) s3_latency: &'static str,
    /// Settings of agents, sidecars and the function.
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) seed: u64,
}

/// A running one. Dropping it kills it.
pub(super) struct Stack {
    child: LeashedChild,
    kafka_port: u16,
    dev_port: u16,
    s3_port: u16,
    agents: u16,
    postgres: String,
}

impl Stack {
    /// Starts it and waits until all of it is ready.
    pub(super) fn start(plan: &StackPlan<'_>) -> Result<Self> {
        fs::create_dir_all(&plan.data_dir)?;
        let output = plan.data_dir.join("yaks-dev.log");
        let log = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let ports = Ports::free(plan.agents)?;
        let command = command(plan, &ports);
        let errors = log.try_clone()?;
        let leash = Leash {
            // It gives its agents 30 s.
            grace: Duration::from_secs(60),
            ..Leash::default()
        };
        let child = leash.spawn(&command, |shell| {
            shell.stdout(log).stderr(errors);
        });
        let mut stack = Self {
            child: child.with_context(|| format!("cannot start {}", command.get_program().display()))?,
            kafka_port: ports.kafka,
            dev_port: ports.dev,
            s3_port: ports.s3,
            agents: plan.agents,
            postgres: String::new(),
        };
        stack.postgres = postgres_url(&stack.wait_until_ready(&output)?);
        Ok(stack)
    }

    /// Brokers and all that can be looked at.
    pub(super) fn target(&self) -> Result<TargetFlags> {
        let running = http::get(&self.dev_url("processes"))?;
        let process = |line: &str| {
            let (name, pid) = line
                .split_once(' ')
                .with_context(|| format!("'{line}' is no process"))?;
            let kind = name.split('-').next().unwrap_or_default();
            format!("{kind}={pid}").parse::<Process>().map_err(anyhow::Error::msg)
        };
        let brokers: Vec<String> = (0..self.agents)
            .map(|n| format!("localhost:{}", self.kafka_port + n))
            .collect();
        Ok(TargetFlags {
            brokers: brokers.join(","),
            pid: running.lines().map(process).collect::<Result<_>>()?,
            s3_stats: Some(self.dev_url("metrics")),
            postgres: Some(self.postgres.clone()),
            ..TargetFlags::default()
        })
    }

    /// Turns a switch of the stack's own port, such as `function/stop`.
    pub(super) fn switch(&self, path: &str) -> Result<()> {
        http::post(&self.dev_url(path)).with_context(|| format!("{path} is refused"))
    }

    /// What its S3 has counted so far.
    pub(super) fn s3_counts(&self) -> Result<S3Counts> {
        http::read(&self.dev_url("metrics"))
    }

    /// Waits until the function has dealt with every event.
    pub(super) fn wait_for_events(&self) -> Result<()> {
        let deadline = Instant::now() + EVENTS_TIMEOUT;
        while !no_event_waits(&http::get(&self.dev_url("metrics"))?) {
            ensure!(Instant::now() < deadline, "events wait still after {EVENTS_TIMEOUT:?}");
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// `http://...` of its S3.
    pub(super) fn s3_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    fn dev_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.dev_port)
    }

    fn wait_until_ready(&mut self, output: &Path) -> Result<String> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let said = fs::read_to_string(output).unwrap_or_default();
            if said.contains(READY) {
                return Ok(said);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("yaks-dev ended ({}):\n{said}", describe(status));
            }
            ensure!(
                Instant::now() < deadline,
                "yaks-dev is not ready after {START_TIMEOUT:?}:\n{said}"
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Stops it in order.
    pub(super) fn stop(mut self) -> Result<()> {
        let status = self.child.stop()?;
        ensure!(
            status.success(),
            "yaks-dev did not stop in order ({})",
            describe(status)
        );
        Ok(())
    }
}

fn command(plan: &StackPlan<'_>, ports: &Ports) -> Command {
    let mut command = Command::new(plan.binaries.join("yaks-dev"));
    // Settings of the shell must not reach what is measured.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("YAKS_")) {
        command.env_remove(name);
    }
    command
        .arg("--data-dir")
        .arg(&plan.data_dir)
        .arg("--binaries")
        .arg(plan.binaries);
    for (flag, value) in [
        ("--agents", u64::from(plan.agents)),
        ("--kafka-port", ports.kafka.into()),
        ("--admin-port", ports.admin.into()),
        ("--cache-port", ports.cache.into()),
        ("--s3-port", ports.s3.into()),
        ("--dev-port", ports.dev.into()),
        ("--seed", plan.seed),
    ] {
        command.arg(flag).arg(value.to_string());
    }
    command.args(["--s3-latency", plan.s3_latency]);
    command.envs(plan.settings.iter().map(|(name, value)| (name, value)));
    command
}

fn no_event_waits(metrics: &str) -> bool {
    metrics.lines().any(|line| line == "yaks_dev_events_waiting 0")
}

fn postgres_url(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("postgres "));
    line.unwrap_or_default().trim().to_owned()
}

struct Ports {
    kafka: u16,
    admin: u16,
    cache: u16,
    s3: u16,
    dev: u16,
}

impl Ports {
    /// Agents and sidecars take neighbouring ports.
    fn free(agents: u16) -> Result<Self> {
        let neighbours: Vec<u16> = (0..agents).collect();
        let mut admin = vec![0];
        admin.extend((1..agents).map(|n| ADMIN_STEP + n));
        // What was found is not bound yet, and the next one that is free may be a neighbour.
        let mut taken = Vec::new();
        Ok(Self {
            kafka: free_base(&neighbours, &mut taken)?,
            admin: free_base(&admin, &mut taken)?,
            cache: free_base(&neighbours, &mut taken)?,
            s3: free_base(&[0], &mut taken)?,
            dev: free_base(&[0], &mut taken)?,
        })
    }
}

/// A port from which on all `offsets` are free and not taken; they are taken then.
fn free_base(offsets: &[u16], taken: &mut Vec<u16>) -> Result<u16> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        let base = private_postgres::free_port()?;
        let wanted: Vec<u16> = offsets.iter().filter_map(|offset| base.checked_add(*offset)).collect();
        let free = |port: &u16| !taken.contains(port) && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
        if wanted.len() == offsets.len() && wanted.iter().all(free) {
            taken.extend(wanted);
            return Ok(base);
        }
    }
    bail!("no {} free ports side by side", offsets.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_where_the_stack_says() {
        let said = "postgres    postgres://u:p@127.0.0.1:5/testdb\nmigrations  done\n";
        assert_eq!(postgres_url(said), "postgres://u:p@127.0.0.1:5/testdb");
        assert_eq!(postgres_url("migrations done"), "");
    }

    #[test]
    fn events_are_waited_for_until_the_stack_says_that_there_are_none() {
        let metrics = "# TYPE yaks_dev_events_waiting gauge\nyaks_dev_events_waiting 0\n";
        assert!(no_event_waits(metrics));
        assert!(!no_event_waits(&metrics.replace("waiting 0", "waiting 10")));
        assert!(!no_event_waits(""));
    }

    #[test]
    fn no_part_gets_the_port_of_another_ones_neighbour() {
        let mut taken = Vec::new();
        for _ in 0..20 {
            free_base(&[0, 1], &mut taken).unwrap();
            free_base(&[0], &mut taken).unwrap();
        }
        let apart: std::collections::BTreeSet<_> = taken.iter().collect();
        assert_eq!(apart.len(), taken.len(), "{taken:?}");
    }
}
