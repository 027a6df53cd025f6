//! The whole stack: started in order, switched about by tests, stopped in the opposite order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use private_postgres::PrivatePostgres;
use tokio::task::JoinSet;
use types::{Clock, SystemClock};

use crate::assemble::{self, GRACE, OwnFunction, WATCH_INTERVAL};
use crate::config::{AGENTS_MAX, AgentPorts, StackConfig};
use crate::data_dir::DataDir;
use crate::dev_api::{self, DevApi};
use crate::environment::{self, BUCKET, DATABASE, FUNCTION, S3_KEY, Variables};
use crate::events::EventQueue;
use crate::fleet::Fleet;
use crate::lambda::Function;
use crate::part::{PartCommand, tail};
use crate::ports;
use crate::s3::S3Server;

/// What ECS gives an agent to finish its requests.
const AGENT_GRACE: Duration = Duration::from_secs(30);

/// Is told of every part that is ready: its name, and what there is to know about it.
pub type Report<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

/// A part that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Which one.
    pub part: String,
    /// How it ended.
    pub how: String,
    /// The last lines of its log.
    pub log_tail: String,
    /// The whole log.
    pub log_file: PathBuf,
}

/// A running stack. Dropping it kills everything; `stop` is the orderly way.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: the users before what they use.
    agents: Fleet,
    sidecars: Fleet,
    tasks: JoinSet<()>,
    function: OwnFunction,
    queue: Arc<EventQueue>,
    s3: S3Server,
    postgres: PrivatePostgres,
    shared_env: Variables,
    config: StackConfig,
    data_dir: DataDir,
}

impl Stack {
    /// Starts everything and waits until it is ready.
    pub async fn start(config: StackConfig) -> Result<Self> {
        Self::start_reporting(config, &|_, _| {}).await
    }

    /// The same, and tells of every part as it becomes ready. Dropping the future ends what was started.
    pub async fn start_reporting(config: StackConfig, report: Report<'_>) -> Result<Self> {
        let agents = config.agents.len();
        ensure!(
            (1..=usize::from(AGENTS_MAX)).contains(&agents),
            "{agents} agents: 1 to {AGENTS_MAX} can be run"
        );
        assemble::check_binaries(&config.binaries)?;
        ports::check(&config)?;
        let data_dir = DataDir::open(&config.data_dir)?;
        let postgres = assemble::postgres(&config, &data_dir).await?;
        report("postgres", &postgres.url(DATABASE));
        let shared_env = environment::shared(&config, &postgres);
        assemble::migrate(&config, &data_dir, &shared_env).await?;
        report("migrations", "the schema is up to date");

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queue = Arc::new(EventQueue::new(config.queue));
        let s3 = assemble::s3(&config, &data_dir, assemble::tell_queue(&queue, &clock)).await?;
        report(
            "s3",
            &format!("{}/{BUCKET} (access key {S3_KEY}, secret key {S3_KEY})", s3.endpoint()),
        );
        let function = OwnFunction(Function::new(
            assemble::function_config(&config, &data_dir, &shared_env),
            Arc::clone(&clock),
        ));
        let mut tasks = JoinSet::new();
        let api = DevApi {
            function: Arc::clone(&function.0),
            queue: Arc::clone(&queue),
            s3: Arc::clone(s3.stats()),
        };
        dev_api::serve(api, config.dev_port, &mut tasks).await?;
        function.0.start().await?;
        report(
            "function",
            &format!("http://127.0.0.1:{}/2015-03-31/functions/{FUNCTION}", config.dev_port),
        );
        assemble::spawn_deliveries(&config, &queue, &function.0, &clock, &mut tasks);

        let stack = Self {
            agents: Fleet::new(agents),
            sidecars: Fleet::new(agents),
            tasks,
            function,
            queue,
            s3,
            postgres,
            shared_env,
            config,
            data_dir,
        };
        stack.start_agents(report).await?;
        Ok(stack)
    }

    async fn start_agents(&self, report: Report<'_>) -> Result<()> {
        for (n, ports) in self.config.agents.iter().enumerate() {
            if self.config.sidecars {
                self.start_sidecar(n).await?;
                report(&format!("sidecar {n}"), &format!("http://127.0.0.1:{}", ports.sidecar));
            }
        }
        for (n, ports) in self.config.agents.iter().enumerate() {
            self.start_agent(n).await?;
            let detail = format!(
                "localhost:{}, metrics http://127.0.0.1:{}/metrics",
                ports.kafka, ports.admin
            );
            report(&format!("agent {n}"), &detail);
        }
        Ok(())
    }

    /// Starts agent `n` (again) and waits until it is ready.
    pub async fn start_agent(&self, n: usize) -> Result<()> {
        let ports = self.ports(n)?;
        let mut command = self.command("yaks-agent", &format!("agent-{n}"), AGENT_GRACE);
        command.env.extend(environment::agent(&self.config, n, ports));
        self.agents.start(n, &command, ports.admin).await
    }

    /// Starts the sidecar of agent `n` (again) and waits until it is ready.
    pub async fn start_sidecar(&self, n: usize) -> Result<()> {
        let ports = self.ports(n)?;
        let mut command = self.command("yaks-cache", &format!("sidecar-{n}"), GRACE);
        command.env.extend(environment::sidecar(
            &self.config,
            &self.data_dir.join("cache"),
            n,
            ports,
        ));
        self.sidecars.start(n, &command, ports.sidecar).await
    }

    fn ports(&self, n: usize) -> Result<AgentPorts> {
        self.config
            .agents
            .get(n)
            .copied()
            .with_context(|| format!("there is no agent {n}"))
    }

    fn command(&self, binary: &str, name: &str, grace: Duration) -> PartCommand {
        PartCommand {
            name: name.to_owned(),
            program: self.config.binaries.join(binary),
            args: Vec::new(),
            env: self.shared_env.clone(),
            log_file: self.data_dir.log(name),
            grace,
        }
    }

    /// Stops agent `n` with SIGTERM and waits for its end. Returns how it ended.
    pub async fn stop_agent(&self, n: usize) -> Option<String> {
        self.agents.stop(n).await
    }

    /// Kills agent `n` with SIGKILL.
    pub async fn kill_agent(&self, n: usize) {
        self.agents.kill(n).await;
    }

    /// Stops the sidecar of agent `n` with SIGTERM and waits for its end. Returns how it ended.
    pub async fn stop_sidecar(&self, n: usize) -> Option<String> {
        self.sidecars.stop(n).await
    }

    /// Kills the sidecar of agent `n` with SIGKILL.
    pub async fn kill_sidecar(&self, n: usize) {
        self.sidecars.kill(n).await;
    }

    /// The process id of agent `n`, if it runs.
    pub async fn agent_pid(&self, n: usize) -> Option<u32> {
        self.agents.pid(n).await
    }

    /// Stops the function; deliveries wait in the queue, sweeps are left out.
    pub async fn stop_function(&self) {
        self.function.0.stop().await;
    }

    /// Starts the function again.
    pub async fn start_function(&self) -> Result<()> {
        self.function.0.start().await
    }

    /// Keeps events in the queue, or lets them go.
    pub fn hold_events(&self, on: bool) {
        self.queue.faults().set_hold(on);
        self.queue.wake();
    }

    /// The event queue, with its faults and its dead letters.
    pub fn events(&self) -> &Arc<EventQueue> {
        &self.queue
    }

    /// The function, to invoke it.
    pub fn function(&self) -> &Arc<Function> {
        &self.function.0
    }

    /// The embedded S3, with its counters.
    pub fn s3(&self) -> &S3Server {
        &self.s3
    }

    /// The private Postgres.
    pub fn postgres(&self) -> &PrivatePostgres {
        &self.postgres
    }

    /// `postgres://...` of the stack's database.
    pub fn postgres_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// `http://...` of the embedded S3.
    pub fn s3_endpoint(&self) -> String {
        self.s3.endpoint()
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// `host:port` of every agent, comma-separated, as Kafka clients want it.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self
            .config
            .agents
            .iter()
            .map(|agent| format!("localhost:{}", agent.kafka))
            .collect();
        addresses.join(",")
    }

    /// What it was started with.
    pub fn config(&self) -> &StackConfig {
        &self.config
    }

    /// Where the parts log to.
    pub fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }

    /// Waits until a part ends that nobody asked to end.
    pub async fn died(&self) -> Death {
        loop {
            if let Some(death) = self.find_death().await {
                return death;
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }

    async fn find_death(&self) -> Option<Death> {
        if let Some(how) = self.postgres.ended() {
            return Some(death("postgres", how, self.data_dir.log("postgres")));
        }
        for fleet in [&self.agents, &self.sidecars] {
            if let Some((part, how, log_file)) = fleet.find_ended().await {
                return Some(death(&part, how, log_file));
            }
        }
        let (part, how, log_file) = self.function.0.deaths().await.into_iter().next()?;
        Some(death(&part, how, log_file))
    }

    /// Stops everything in order: agents with time to finish, then what they use.
    pub async fn stop(mut self, report: Report<'_>) {
        for (name, how) in self.agents.stop_all().await {
            report(&name, &format!("stopped ({how})"));
        }
        // Deliveries too, so that none is cut off in the middle.
        self.tasks.shutdown().await;
        self.function.0.stop().await;
        report("function", "stopped");
        for (name, how) in self.sidecars.stop_all().await {
            report(&name, &format!("stopped ({how})"));
        }
        let Self { s3, postgres, .. } = self;
        drop(s3);
        report("s3", "stopped");
        // Dropping stops it too; here it may take its time without holding up a runtime thread.
        let stopped = tokio::task::spawn_blocking(move || drop(postgres)).await;
        report(
            "postgres",
            if stopped.is_ok() {
                "stopped"
            } else {
                "did not stop in order"
            },
        );
    }
}

fn death(part: &str, how: String, log_file: PathBuf) -> Death {
    Death {
        part: part.to_owned(),
        how,
        log_tail: tail(&log_file),
        log_file,
    }
}
