//! What a stack looks like.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use private_postgres::free_port;

use crate::events::{EventFault, EventSource, QueueConfig};
use crate::lambda::OnDeath;
use crate::s3::{LatencyProfile, S3FaultRate};

/// Sidecars start at 9080 and agents' admin ports at 9090: with more agents they would meet.
pub const AGENTS_MAX: u16 = 10;

/// A whole stack. `for_make_up` and `for_tests` give a complete one; change what you need.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Everything that is kept, and the logs.
    pub data_dir: PathBuf,
    /// The folder with `yaks-agent`, `yaks-materializer` and `yaks-cache`.
    pub binaries: PathBuf,
    /// One entry per agent.
    pub agents: Vec<AgentPorts>,
    /// The embedded S3.
    pub s3_port: u16,
    /// Invoke API, metrics and switches of the stack itself.
    pub dev_port: u16,
    /// The private Postgres; `None` takes a free port.
    pub postgres_port: Option<u16>,
    /// Whether a new Postgres cluster is synced to the disk before it is used.
    pub sync_new_cluster: bool,
    /// `YAKS_COMMIT_PATH` of the agents; `None` leaves it to the environment.
    pub commit_path: Option<String>,
    /// How events reach the function.
    pub event_source: EventSource,
    /// The queue's manners, but for its delay.
    pub queue: QueueConfig,
    /// How long an event waits before the function is told; `None`: what the commit path needs ([`crate::events::delay_for`]).
    pub event_delay: Option<Duration>,
    /// How often the function is asked to sweep; zero never.
    pub sweep_interval: Duration,
    /// How many invocations run at once.
    pub function_instances: usize,
    /// How long an invocation may take.
    pub function_timeout: Duration,
    /// What happens when an instance of the function ends by itself.
    pub on_function_death: OnDeath,
    /// Decides which requests and events meet faults, and which requests are slow.
    pub seed: u64,
    /// How long S3 takes to answer, from the start on.
    pub s3_latency: LatencyProfile,
    /// What goes wrong between S3 and its clients from the start on.
    pub s3_faults: Vec<S3FaultRate>,
    /// What goes wrong with events from the start on, and how likely.
    pub event_faults: Vec<(EventFault, f64)>,
    /// Whether every agent has a sidecar.
    pub sidecars: bool,
    /// An AWS that runs already, in place of the one that the stack plays.
    pub outside: Option<OutsideAws>,
    /// Further variables for the agents; these win over everything else.
    pub agent_env: Vec<(String, String)>,
    /// The same for one agent each, in their order.
    pub agent_env_each: Vec<Vec<(String, String)>>,
    /// Further variables for the function.
    pub function_env: Vec<(String, String)>,
    /// Further variables for the sidecars.
    pub sidecar_env: Vec<(String, String)>,
}

/// An S3 and a queue that somebody else runs, such as LocalStack's. The bucket and the queue are there, and tell of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideAws {
    /// `http://host:port` of its S3.
    pub endpoint: String,
    /// URL of the SQS queue that its S3 sends events to.
    pub event_queue_url: String,
}

/// The ports of one agent and its sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentPorts {
    /// Kafka clients connect here.
    pub kafka: u16,
    /// Health and metrics.
    pub admin: u16,
    /// The sidecar.
    pub sidecar: u16,
}

impl AgentPorts {
    /// The ports of agent `n`: 9092 + n for clients, 9080 + n for the sidecar, and for administration 9090 for the
    /// first and 9190 + n for the others, as 9091 + n would meet the clients' ports.
    pub fn numbered(n: u16, kafka: u16, admin: u16, sidecar: u16) -> Self {
        let admin = if n == 0 { admin } else { admin + 100 + n };
        Self {
            kafka: kafka + n,
            admin,
            sidecar: sidecar + n,
        }
    }

    /// Three free ports.
    pub fn free() -> io::Result<Self> {
        Ok(Self {
            kafka: free_port()?,
            admin: free_port()?,
            sidecar: free_port()?,
        })
    }
}

impl StackConfig {
    /// Where the agents, the sidecars and the function find S3.
    pub(crate) fn s3_endpoint(&self) -> String {
        let own = || format!("http://127.0.0.1:{}", self.s3_port);
        self.outside.as_ref().map_or_else(own, |aws| aws.endpoint.clone())
    }

    /// As `make up` runs it: the ports of the README, data under `.yaks`, everything as deployed.
    pub fn for_make_up(agents: u16, binaries: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: PathBuf::from(".yaks"),
            binaries: binaries.into(),
            agents: (0..agents).map(|n| AgentPorts::numbered(n, 9092, 9090, 9080)).collect(),
            s3_port: 4566,
            dev_port: 4567,
            postgres_port: None,
            sync_new_cluster: true,
            commit_path: None,
            event_source: EventSource::Sqs,
            queue: QueueConfig::default(),
            event_delay: None,
            sweep_interval: Duration::from_secs(10),
            function_instances: 2,
            function_timeout: Duration::from_secs(10),
            on_function_death: OnDeath::Report,
            seed: 0,
            s3_latency: LatencyProfile::None,
            s3_faults: Vec::new(),
            event_faults: Vec::new(),
            sidecars: true,
            outside: None,
            agent_env: Vec::new(),
            agent_env_each: Vec::new(),
            function_env: Vec::new(),
            sidecar_env: Vec::new(),
        }
    }

    /// For tests: free ports, a data directory of its own, a function that is replaced when it dies, and events that
    /// come back after a second. `binaries` is usually `target/debug`.
    pub fn for_tests(agents: u16, binaries: impl Into<PathBuf>) -> io::Result<Self> {
        let data_dir = std::env::temp_dir().join(format!("yaks-stack-{}", uuid::Uuid::now_v7().simple()));
        let ports: io::Result<Vec<AgentPorts>> = (0..agents).map(|_| AgentPorts::free()).collect();
        Ok(Self {
            data_dir,
            agents: ports?,
            s3_port: free_port()?,
            dev_port: free_port()?,
            sync_new_cluster: false,
            queue: QueueConfig {
                visibility_timeout: Duration::from_secs(1),
                receives_max: 100,
                ..QueueConfig::default()
            },
            sweep_interval: Duration::from_secs(1),
            on_function_death: OnDeath::Restart,
            ..Self::for_make_up(agents, binaries)
        })
    }
}
