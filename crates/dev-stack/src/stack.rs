//! The whole stack: started in order, switched about by tests, stopped in the opposite order.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use private_postgres::PrivatePostgres;
use tokio::task::JoinSet;
use types::{Clock, SystemClock};

use crate::assemble::{self, OwnFunction, WATCH_INTERVAL};
use crate::config::{AGENTS_MAX, StackConfig};
use crate::data_dir::DataDir;
use crate::dev_api::{self, DevApi};
use crate::environment::{self, BUCKET, DATABASE, FUNCTION, S3_KEY};
use crate::events::EventQueue;
use crate::fleet::Fleet;
use crate::lambda::Function;
use crate::part::tail;
use crate::parts::{Parts, Switch};
use crate::ports;
use crate::s3::S3Server;

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
    tasks: JoinSet<()>,
    function: OwnFunction,
    pub(crate) parts: Arc<Parts>,
    queue: Arc<EventQueue>,
    s3: S3Server,
}

impl Death {
    pub(crate) fn new(part: &str, how: String, log_file: PathBuf) -> Self {
        Self {
            part: part.to_owned(),
            how,
            log_tail: tail(&log_file),
            log_file,
        }
    }
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
        ensure!(
            config.outside.is_none(),
            "a stack on an outside AWS plays none: OutsideStack"
        );
        assemble::check_binaries(&config.binaries)?;
        ports::check(&config)?;
        let data_dir = DataDir::open(&config.data_dir)?;
        let postgres = assemble::postgres(&config, &data_dir).await?;
        report("postgres", &postgres.url(DATABASE));
        let shared_env = environment::shared(&config, &postgres);
        let migrate_env = [shared_env.clone(), environment::migrate(&postgres)].concat();
        assemble::migrate(&config, &data_dir, migrate_env).await?;
        report("migrations", "the schema is up to date");

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queue = assemble::queue(&config);
        let s3 = assemble::s3(&config, &data_dir, assemble::tell_queue(&queue, &clock)).await?;
        report(
            "s3",
            &format!("{}/{BUCKET} (access key {S3_KEY}, secret key {S3_KEY})", s3.endpoint()),
        );
        let function = OwnFunction(Function::new(
            assemble::function_config(&config, &data_dir, &shared_env),
            Arc::clone(&clock),
        ));
        s3.latency().set(config.s3_latency);
        for rate in &config.s3_faults {
            s3.faults().set(*rate);
        }
        for (fault, probability) in &config.event_faults {
            queue.faults().set_rate(*fault, *probability);
        }
        let parts = Arc::new(Parts {
            agents: Fleet::new(agents),
            sidecars: Fleet::new(agents),
            postgres,
            shared_env,
            config,
            data_dir,
        });
        let config = &parts.config;
        let mut tasks = JoinSet::new();
        let api = DevApi {
            function: Arc::clone(&function.0),
            queue: Arc::clone(&queue),
            s3: Arc::clone(s3.stats()),
            s3_faults: Arc::clone(s3.faults()),
            s3_latency: Arc::clone(s3.latency()),
            parts: Arc::downgrade(&parts),
        };
        dev_api::serve(api, config.dev_port, &mut tasks).await?;
        function.0.start().await?;
        report(
            "function",
            &format!("http://127.0.0.1:{}/2015-03-31/functions/{FUNCTION}", config.dev_port),
        );
        assemble::spawn_deliveries(config, &queue, &function.0, &clock, &mut tasks);

        let stack = Self {
            tasks,
            function,
            parts,
            queue,
            s3,
        };
        stack.parts.start(report).await?;
        Ok(stack)
    }

    /// Starts agent `n` (again) and waits until it is ready.
    pub async fn start_agent(&self, n: usize) -> Result<()> {
        self.parts.switch_agent(n, Switch::Start).await
    }

    /// Starts the sidecar of agent `n` (again) and waits until it is ready.
    pub async fn start_sidecar(&self, n: usize) -> Result<()> {
        self.parts.switch_sidecar(n, Switch::Start).await
    }

    /// Stops, kills, starts, freezes or wakes agent `n`.
    pub async fn switch_agent(&self, n: usize, switch: Switch) -> Result<()> {
        self.parts.switch_agent(n, switch).await
    }

    /// Stops, kills, starts, freezes or wakes the sidecar of agent `n`.
    pub async fn switch_sidecar(&self, n: usize, switch: Switch) -> Result<()> {
        self.parts.switch_sidecar(n, switch).await
    }

    /// Stops, kills, starts, freezes or wakes Postgres.
    pub async fn switch_postgres(&self, switch: Switch) -> Result<()> {
        self.parts.switch_postgres(switch).await
    }

    /// Kills the instances of the function in the middle of what they do; they are started again. Returns how many were
    /// at work.
    pub async fn crash_function(&self) -> usize {
        self.function.0.crash().await
    }

    /// Stops agent `n` with SIGTERM and waits for its end. Returns how it ended.
    pub async fn stop_agent(&self, n: usize) -> Option<String> {
        self.parts.agents.stop(n).await
    }

    /// Kills agent `n` with SIGKILL.
    pub async fn kill_agent(&self, n: usize) {
        self.parts.agents.kill(n).await;
    }

    /// Stops the sidecar of agent `n` with SIGTERM and waits for its end. Returns how it ended.
    pub async fn stop_sidecar(&self, n: usize) -> Option<String> {
        self.parts.sidecars.stop(n).await
    }

    /// Kills the sidecar of agent `n` with SIGKILL.
    pub async fn kill_sidecar(&self, n: usize) {
        self.parts.sidecars.kill(n).await;
    }

    /// The process id of agent `n`, if it runs.
    pub async fn agent_pid(&self, n: usize) -> Option<u32> {
        self.parts.agents.pid(n).await
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
        &self.parts.postgres
    }

    /// `postgres://...` of the stack's database.
    pub fn postgres_url(&self) -> String {
        self.parts.postgres.url(DATABASE)
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
        self.parts.bootstrap()
    }

    /// What it was started with.
    pub fn config(&self) -> &StackConfig {
        &self.parts.config
    }

    /// Where the parts log to.
    pub fn log_dir(&self) -> PathBuf {
        self.parts.log_dir()
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
        if let Some(death) = self.parts.find_ended().await {
            return Some(death);
        }
        let (part, how, log_file) = self.function.0.deaths().await.into_iter().next()?;
        Some(Death::new(&part, how, log_file))
    }

    /// Stops everything in order: agents with time to finish, then what they use.
    pub async fn stop(mut self, report: Report<'_>) {
        self.parts.agents.stop_reporting(report).await;
        // Deliveries too, so that none is cut off in the middle.
        self.tasks.shutdown().await;
        self.function.0.stop().await;
        report("function", "stopped");
        self.parts.sidecars.stop_reporting(report).await;
        let Self { s3, parts, .. } = self;
        drop(s3);
        report("s3", "stopped");
        parts.stop_postgres(report).await;
    }
}
