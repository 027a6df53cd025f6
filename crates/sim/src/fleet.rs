//! The agents as processes: started, killed, stopped, and started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::config::{CommitPath, Config};
use agent::group::relay::NoDialer;
use agent::run::{Deps, run};
use clap::{Parser, ValueEnum};
use daemon::Readiness;
use storage::failing::FaultHandle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::function::{Function, FunctionClient};
use crate::network::{Endpoint, Network};
use crate::plan::{AgentPlan, Plan};
use crate::process::Process;
use crate::random::Dice;
use crate::services::Services;

/// Pause before an agent that ended by itself is started again, as a scheduler does.
const RESTART_PAUSE: Duration = Duration::from_millis(700);

/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// All agents of a run.
#[derive(Debug)]
pub struct Fleet {
    services: Arc<Services>,
    network: Arc<Network>,
    function: Arc<Function>,
    lease_ttl_ms: u64,
    berths: Vec<Berth>,
    dice: Dice,
    /// Nobody is started any more.
    closing: AtomicBool,
}

/// A place for one agent, with one host name.
#[derive(Debug)]
struct Berth {
    plan: AgentPlan,
    host: String,
    /// A node id of its own, or whichever is free.
    node_id: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    incarnations: u32,
    current: Option<Running>,
}

#[derive(Clone, Debug)]
struct Running {
    process: Process,
    shutdown: CancellationToken,
    abort: AbortHandle,
    s3: FaultHandle,
    dies_silently: Arc<AtomicBool>,
}

impl Fleet {
    /// Berths for the agents of the plan; none of them runs.
    pub fn new(plan: &Plan, services: Arc<Services>, network: Arc<Network>, function: Arc<Function>) -> Arc<Self> {
        let dice = Dice::new(plan.seed, "fleet");
        let fixed = dice.chance(500);
        let berth = |(index, agent): (usize, &AgentPlan)| Berth {
            plan: agent.clone(),
            host: host(index),
            node_id: if fixed { index.to_string() } else { "auto".to_owned() },
            state: Mutex::default(),
        };
        Arc::new(Self {
            services,
            network,
            function,
            lease_ttl_ms: plan.lease_ttl_ms,
            berths: plan.agents.iter().enumerate().map(berth).collect(),
            dice,
            closing: AtomicBool::new(false),
        })
    }

    /// Starts the agent of a berth, unless one runs there.
    pub fn start(self: &Arc<Self>, index: usize) {
        let berth = &self.berths[index];
        if self.closing.load(Ordering::Relaxed) || berth.state().current.is_some() {
            return;
        }
        let process = Process::new(format!("{}.{}", berth.host, berth.next_incarnation()));
        let shutdown = CancellationToken::new();
        let (connections, incoming) = mpsc::channel(BACKLOG);
        let (store, s3) = self.services.bucket(&process);
        let dies_silently = Arc::new(AtomicBool::new(false));
        self.network.listen(
            &berth.host,
            Endpoint {
                process: process.clone(),
                connections,
                dies_silently: Arc::clone(&dies_silently),
            },
        );
        let deps = Deps {
            metastore: self.services.metastore(&process),
            cold_store: Arc::clone(&store),
            store,
            cache: None,
            function: (berth.plan.commit_path == CommitPath::Invoke).then(|| {
                let function = Arc::clone(&self.function);
                let process = process.clone();
                Arc::new(FunctionClient { process, function }) as _
            }),
            costs: None,
            clock: Arc::new(self.services.clock),
            entropy: self.dice.entropy(),
            dialer: Arc::new(NoDialer),
            peer_address: String::new(),
            incoming: Box::new(incoming),
            readiness: Readiness::new(),
        };
        let agent = tokio::spawn(run(self.config(berth), deps, shutdown.clone()));
        let running = Running {
            abort: agent.abort_handle(),
            process: process.clone(),
            shutdown,
            s3,
            dies_silently,
        };
        self.services.scribe.note("agent started", process.name());
        berth.state().current = Some(running);
        let fleet = Arc::clone(self);
        tokio::spawn(async move {
            let ended = agent.await;
            fleet.ended(index, &process, ended).await;
        });
    }

    /// An agent came to its end; whoever was not killed is started again.
    async fn ended(
        self: Arc<Self>,
        index: usize,
        process: &Process,
        ended: Result<anyhow::Result<()>, tokio::task::JoinError>,
    ) {
        if process.is_dead() {
            return;
        }
        let scribe = &self.services.scribe;
        match ended {
            Ok(Ok(())) => scribe.note("agent stopped", process.name()),
            Ok(Err(error)) => scribe.note("agent gave up", format_args!("{} {error:#}", process.name())),
            Err(error) => scribe.violation(format_args!("{}: {error}", process.name())),
        }
        process.kill();
        self.berths[index].state().current = None;
        sleep(RESTART_PAUSE).await;
        self.start(index);
    }

    /// `kill -9`.
    pub fn kill(&self, index: usize, silently: bool) {
        let killed = self.berths[index].state().current.take();
        if let Some(killed) = killed {
            killed.dies_silently.store(silently, Ordering::Relaxed);
            killed.process.kill();
            killed.abort.abort();
        }
    }

    /// SIGTERM.
    pub fn stop(&self, index: usize) {
        if let Some(running) = &self.berths[index].state().current {
            running.shutdown.cancel();
        }
    }

    /// No agent is started from now on; whether by a strike or because it gave up.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The process of a berth, if one runs there.
    pub fn process(&self, index: usize) -> Option<Process> {
        self.berths[index]
            .state()
            .current
            .as_ref()
            .map(|running| running.process.clone())
    }

    /// What can be made to go wrong between an agent and the bucket.
    pub fn s3_faults(&self, index: usize) -> Option<FaultHandle> {
        self.berths[index]
            .state()
            .current
            .as_ref()
            .map(|running| running.s3.clone())
    }

    /// Berths whose agent runs.
    pub fn running(&self) -> Vec<usize> {
        (0..self.berths.len())
            .filter(|index| self.process(*index).is_some())
            .collect()
    }

    /// Host names of all berths.
    pub fn hosts(&self) -> Vec<String> {
        self.berths.iter().map(|berth| berth.host.clone()).collect()
    }

    /// Undoes everything but death.
    pub fn heal(&self) {
        for index in self.running() {
            if let Some(process) = self.process(index) {
                process.heal();
            }
        }
    }

    fn config(&self, berth: &Berth) -> Config {
        let plan = &berth.plan;
        let path = plan.commit_path.to_possible_value().expect("every path has a name");
        let settings = [
            ("node-id", berth.node_id.clone()),
            ("advertised-host", berth.host.clone()),
            ("advertised-port", "9092".to_owned()),
            ("rack", String::new()),
            ("auto-create-topics", "false".to_owned()),
            ("lease-ttl-ms", self.lease_ttl_ms.to_string()),
            ("lease-heartbeat-ms", (self.lease_ttl_ms / 4).to_string()),
            ("flush-interval-ms", plan.flush_interval_ms.to_string()),
            ("flush-bytes", plan.flush_bytes.to_string()),
            ("linger-ms", plan.linger_ms.to_string()),
            ("uploads-max", plan.uploads_max.to_string()),
            ("ack-mode", "auto".to_owned()),
            ("commit-path", path.get_name().to_owned()),
            ("commit-stall-ms", plan.stall_ms.to_string()),
            ("materialize-interval-ms", plan.look_ms.to_string()),
            ("materialize-batch-size", plan.commit_batches.to_string()),
            ("lambda-function", "function".to_owned()),
            ("cache-enabled", "false".to_owned()),
        ];
        let arguments = settings.map(|(name, value)| format!("--{name}={value}"));
        let parsed = Config::try_parse_from(["yaks-agent".to_owned()].into_iter().chain(arguments));
        let config = parsed.expect("the plan's settings are legal");
        config.validate().expect("the plan's settings go together");
        config
    }
}

impl Berth {
    fn next_incarnation(&self) -> u32 {
        let mut state = self.state();
        state.incarnations += 1;
        state.incarnations
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host name of the agent at `index`.
fn host(index: usize) -> String {
    format!("agent-{index}")
}
