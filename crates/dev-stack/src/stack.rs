//! The whole stack: started in order, switched about by tests, stopped in the opposite order.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use private_postgres::{PrivatePostgres, PrivatePostgresConfig};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use types::{Clock, SystemClock};

use crate::config::{AGENTS_MAX, StackConfig};
use crate::data_dir::DataDir;
use crate::dev_api::{self, DevApi};
use crate::environment::{self, BUCKET, DATABASE, FUNCTION, S3_KEY, Variables};
use crate::events::{EventQueue, deliver, s3_event};
use crate::health::wait_until_ready;
use crate::lambda::{Function, FunctionConfig, OnDeath};
use crate::part::{Part, PartCommand, tail};
use crate::s3::{CreatedObject, OnCreated, S3Config, S3Server};
use crate::{ports, sweep};

/// S3 tells the queue about objects under this prefix only, as the bucket's notification filter does.
const EVENT_PREFIX: &str = "data/";
/// What ECS gives an agent to finish its requests.
const AGENT_GRACE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

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
    agents: Mutex<Vec<Option<Part>>>,
    sidecars: Mutex<Vec<Option<Part>>>,
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
        for binary in ["yaks-agent", "yaks-materializer", "yaks-cache"] {
            let path = config.binaries.join(binary);
            ensure!(
                path.is_file(),
                "{} is missing: build it first (make build)",
                path.display()
            );
        }
        ports::check(&config)?;
        let data_dir = DataDir::open(&config.data_dir)?;
        let postgres = start_postgres(&config, &data_dir).await?;
        report("postgres", &postgres.url(DATABASE));
        let shared_env = environment::shared(&config, &postgres);
        migrate(&config, &data_dir, &shared_env).await?;
        report("migrations", "the schema is up to date");

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queue = Arc::new(EventQueue::new(config.queue));
        let s3 = start_s3(&config, &data_dir, tell_queue(&queue, &clock)).await?;
        report(
            "s3",
            &format!("{}/{BUCKET} (access key {S3_KEY}, secret key {S3_KEY})", s3.endpoint()),
        );
        let function = OwnFunction(Function::new(
            function_config(&config, &data_dir, &shared_env),
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
        spawn_deliveries(&config, &queue, &function.0, &clock, &mut tasks);

        let stack = Self {
            agents: Mutex::new((0..agents).map(|_| None).collect()),
            sidecars: Mutex::new((0..agents).map(|_| None).collect()),
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
        let ports = *self
            .config
            .agents
            .get(n)
            .with_context(|| format!("there is no agent {n}"))?;
        let mut command = self.command("yaks-agent", &format!("agent-{n}"), AGENT_GRACE);
        command.env.extend(environment::agent(&self.config, n, ports));
        start_into(&self.agents, n, &command, ports.admin).await
    }

    /// Starts the sidecar of agent `n` (again) and waits until it is ready.
    pub async fn start_sidecar(&self, n: usize) -> Result<()> {
        let ports = *self
            .config
            .agents
            .get(n)
            .with_context(|| format!("there is no agent {n}"))?;
        let mut command = self.command("yaks-cache", &format!("sidecar-{n}"), GRACE);
        command.env.extend(environment::sidecar(
            &self.config,
            &self.data_dir.join("cache"),
            n,
            ports,
        ));
        start_into(&self.sidecars, n, &command, ports.sidecar).await
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
        stop_in(&self.agents, n).await
    }

    /// Kills agent `n` with SIGKILL.
    pub async fn kill_agent(&self, n: usize) {
        kill_in(&self.agents, n).await;
    }

    /// Stops the sidecar of agent `n` with SIGTERM and waits for its end. Returns how it ended.
    pub async fn stop_sidecar(&self, n: usize) -> Option<String> {
        stop_in(&self.sidecars, n).await
    }

    /// Kills the sidecar of agent `n` with SIGKILL.
    pub async fn kill_sidecar(&self, n: usize) {
        kill_in(&self.sidecars, n).await;
    }

    /// The process id of agent `n`, if it runs.
    pub async fn agent_pid(&self, n: usize) -> Option<u32> {
        self.agents.lock().await.get(n)?.as_ref().map(Part::id)
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
        for parts in [&self.agents, &self.sidecars] {
            for part in parts.lock().await.iter_mut().flatten() {
                if let Some(how) = part.ended() {
                    return Some(death(part.name(), how, part.log_file().to_owned()));
                }
            }
        }
        let (part, how, log_file) = self.function.0.deaths().await.into_iter().next()?;
        Some(death(&part, how, log_file))
    }

    /// Stops everything in order: agents with time to finish, then what they use.
    pub async fn stop(mut self, report: Report<'_>) {
        stop_all(&self.agents, report).await;
        // Deliveries too, so that none is cut off in the middle.
        self.tasks.shutdown().await;
        self.function.0.stop().await;
        report("function", "stopped");
        stop_all(&self.sidecars, report).await;
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

/// Ends the function's processes with the stack, whoever else still holds the function.
#[derive(Debug)]
struct OwnFunction(Arc<Function>);

impl Drop for OwnFunction {
    fn drop(&mut self) {
        self.0.kill();
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

async fn start_postgres(config: &StackConfig, data_dir: &DataDir) -> Result<PrivatePostgres> {
    let mut postgres = PrivatePostgresConfig::new(data_dir.join("postgres"));
    postgres.log_file = data_dir.log("postgres");
    postgres.port = config.postgres_port;
    postgres.sync_new_cluster = config.sync_new_cluster;
    let started = tokio::task::spawn_blocking(move || {
        let server = PrivatePostgres::start(postgres)?;
        server.ensure_database(DATABASE).map(|()| server)
    });
    Ok(started.await??)
}

async fn migrate(config: &StackConfig, data_dir: &DataDir, shared_env: &Variables) -> Result<()> {
    let command = PartCommand {
        name: "migrate".to_owned(),
        program: config.binaries.join("yaks-agent"),
        args: vec!["migrate".to_owned()],
        env: shared_env.clone(),
        log_file: data_dir.log("migrate"),
        grace: GRACE,
    };
    command.run().await
}

async fn start_s3(config: &StackConfig, data_dir: &DataDir, on_created: OnCreated) -> Result<S3Server> {
    let s3 = S3Config {
        directory: data_dir.join("s3"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, config.s3_port)),
        bucket: BUCKET.to_owned(),
        access_key: S3_KEY.to_owned(),
        secret_key: S3_KEY.to_owned(),
    };
    S3Server::start(s3, on_created).await
}

fn tell_queue(queue: &Arc<EventQueue>, clock: &Arc<dyn Clock>) -> OnCreated {
    let (queue, clock) = (Arc::clone(queue), Arc::clone(clock));
    Arc::new(move |object: CreatedObject| {
        if object.key.starts_with(EVENT_PREFIX) {
            let now = clock.now();
            queue.send(&s3_event(&object, now).to_string(), Instant::now(), now);
        }
    })
}

fn function_config(config: &StackConfig, data_dir: &DataDir, shared_env: &Variables) -> FunctionConfig {
    let command = PartCommand {
        name: FUNCTION.to_owned(),
        program: config.binaries.join("yaks-materializer"),
        args: Vec::new(),
        env: shared_env.iter().chain(&config.function_env).cloned().collect(),
        log_file: data_dir.log(FUNCTION),
        grace: GRACE,
    };
    FunctionConfig {
        name: FUNCTION.to_owned(),
        command,
        log_dir: data_dir.join("log"),
        instances: config.function_instances,
        timeout: config.function_timeout,
        on_death: config.on_function_death,
    }
}

fn spawn_deliveries(
    config: &StackConfig,
    queue: &Arc<EventQueue>,
    function: &Arc<Function>,
    clock: &Arc<dyn Clock>,
    tasks: &mut JoinSet<()>,
) {
    for _ in 0..config.function_instances {
        tasks.spawn(deliver(
            config.event_source,
            Arc::clone(queue),
            Arc::clone(function),
            Arc::clone(clock),
        ));
    }
    if !config.sweep_interval.is_zero() {
        tasks.spawn(sweep::schedule(
            config.sweep_interval,
            Arc::clone(function),
            Arc::clone(clock),
        ));
    }
    if config.on_function_death == OnDeath::Restart {
        let function = Arc::clone(function);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(WATCH_INTERVAL).await;
                function.deaths().await;
            }
        });
    }
}

async fn start_into(parts: &Mutex<Vec<Option<Part>>>, n: usize, command: &PartCommand, health_port: u16) -> Result<()> {
    let mut part = command.start()?;
    wait_until_ready(&mut part, health_port).await?;
    if let Some(place) = parts.lock().await.get_mut(n) {
        *place = Some(part);
    }
    Ok(())
}

async fn stop_in(parts: &Mutex<Vec<Option<Part>>>, n: usize) -> Option<String> {
    let part = parts.lock().await.get_mut(n)?.take()?;
    Some(part.stop().await)
}

async fn kill_in(parts: &Mutex<Vec<Option<Part>>>, n: usize) {
    let part = parts.lock().await.get_mut(n).and_then(Option::take);
    if let Some(part) = part {
        part.kill();
    }
}

/// All at once: each has its own time to finish.
async fn stop_all(parts: &Mutex<Vec<Option<Part>>>, report: Report<'_>) {
    let parts: Vec<Part> = parts.lock().await.iter_mut().filter_map(Option::take).collect();
    let stopping = parts.into_iter().map(|part| async move {
        let name = part.name().to_owned();
        (name, part.stop().await)
    });
    for (name, how) in futures::future::join_all(stopping).await {
        report(&name, &format!("stopped ({how})"));
    }
}
