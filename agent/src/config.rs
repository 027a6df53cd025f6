//! The agent's settings. All come from the environment; a wrong value stops the start and is named.

use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use daemon::Alias;
use metastore::{PostgresConfig, Role, Roles};
use storage::{S3Config, Secret};
use telemetry::TelemetryConfig;
use types::limits::{BATCH_BYTES_MAX, FETCH_SESSIONS_MAX, FRAME_BYTES_MAX};

use crate::group::limits::GroupLimits;
use crate::listeners::{DEFAULT_LISTENER, Listener, Listeners};
use crate::memory::budget::{MEMORY_MB_MIN, MemoryBudget, REQUEST_BYTES_MIN};

/// Old names that still work.
pub const ALIASES: &[Alias] = &[Alias {
    new: "YAKS_CACHE_ENABLED",
    old: "YAKS_GROUPCACHE_ENABLED",
}];

/// When a producer's batch is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AckMode {
    /// As the request's `acks` says: 1 when the object is in S3, all when it is committed.
    Auto,
    /// When the object is in S3, whatever the request says (batches with a producer id still wait for their commit).
    Durable,
    /// When it is committed, whatever the request says.
    Committed,
}

/// Who commits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CommitPath {
    /// The function, by the S3 event.
    Event,
    /// The function, invoked by the agent right after the PUT.
    Invoke,
    /// The agent itself.
    Inline,
}

/// The node id to serve under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeIdSetting {
    /// The lowest free one.
    Auto,
    /// This one, or none.
    Fixed(i32),
}

fn node_id(text: &str) -> Result<NodeIdSetting, String> {
    if text == "auto" {
        return Ok(NodeIdSetting::Auto);
    }
    match text.parse::<i32>() {
        Ok(id) if id >= 0 => Ok(NodeIdSetting::Fixed(id)),
        Ok(_) | Err(_) => Err("expected a number from 0 up, or `auto`".to_owned()),
    }
}

fn advertised_host(text: &str) -> Result<String, String> {
    match text {
        "" => Err("expected a host name or address that clients can reach".to_owned()),
        host => Ok(host.to_owned()),
    }
}

fn permit_bytes(text: &str) -> Result<usize, String> {
    let least = REQUEST_BYTES_MIN;
    match text.parse::<usize>() {
        Ok(bytes) if bytes >= least => Ok(bytes),
        Ok(_) | Err(_) => Err(format!(
            "expected a number of bytes from {least} up (two of the largest requests)"
        )),
    }
}

/// Command line of `yaks-agent`.
#[derive(Debug, Parser)]
#[command(
    name = "yaks-agent",
    version = types::version(),
    about = "Kafka broker without disks: serves the Kafka protocol from S3 and Postgres"
)]
pub struct Config {
    /// What to do; nothing: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The broker itself.
    #[command(flatten)]
    pub broker: BrokerConfig,
    /// The write path.
    #[command(flatten)]
    pub write: WriteConfig,
    /// The commit.
    #[command(flatten)]
    pub commit: CommitConfig,
    /// Consumer groups.
    #[command(flatten)]
    pub group: GroupConfig,
    /// The sidecar.
    #[command(flatten)]
    pub cache: CacheConfig,
    /// Postgres.
    #[command(flatten)]
    pub postgres: PostgresConfig,
    /// S3.
    #[command(flatten)]
    pub s3: S3Config,
    /// Logs and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
}

/// What `yaks-agent` does besides serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Bring the database schema up to date and exit.
    Migrate(MigrateConfig),
    /// Ask the agent of this machine, or container, whether it is alive; the exit code says so.
    Health,
}

/// Whom the migrations make besides tables: roles that may do what agents and the function do, and no more. Whoever migrates then needs the
/// right to make roles, and nobody else has to sign in as the tables' owner.
#[derive(Args, Clone, Debug)]
pub struct MigrateConfig {
    /// Role to make for agents, or to bring up to date.
    #[arg(
        long,
        env = "YAKS_DB_AGENT_USER",
        value_name = "YAKS_DB_AGENT_USER",
        requires = "function_role"
    )]
    pub agent_role: Option<String>,
    /// Its password; empty: it signs in with IAM.
    #[arg(
        long,
        env = "YAKS_DB_AGENT_PASSWORD",
        value_name = "YAKS_DB_AGENT_PASSWORD",
        default_value = "",
        hide_env_values = true
    )]
    pub agent_password: Secret,
    /// Role to make for the function, or to bring up to date.
    #[arg(
        long,
        env = "YAKS_DB_FUNCTION_USER",
        value_name = "YAKS_DB_FUNCTION_USER",
        requires = "agent_role"
    )]
    pub function_role: Option<String>,
    /// Its password; empty: it signs in with IAM.
    #[arg(
        long,
        env = "YAKS_DB_FUNCTION_PASSWORD",
        value_name = "YAKS_DB_FUNCTION_PASSWORD",
        default_value = "",
        hide_env_values = true
    )]
    pub function_password: Secret,
}

impl MigrateConfig {
    /// The roles, if any are to be made.
    pub fn roles(&self) -> Option<Roles> {
        let role = |name: &Option<String>, password: &Secret| {
            name.clone().map(|name| Role {
                name,
                password: password.clone(),
            })
        };
        Some(Roles {
            agent: role(&self.agent_role, &self.agent_password)?,
            function: role(&self.function_role, &self.function_password)?,
        })
    }
}

/// Who this agent is and whom it serves.
#[derive(Args, Clone, Debug)]
pub struct BrokerConfig {
    /// Kafka's broker id, unique in the cluster; `auto` leases the lowest free one.
    #[arg(long, env = "YAKS_NODE_ID", value_name = "YAKS_NODE_ID", default_value = "0", value_parser = node_id)]
    pub node_id: NodeIdSetting,
    /// Address to listen on.
    #[arg(
        long,
        env = "YAKS_BROKER_HOST",
        value_name = "YAKS_BROKER_HOST",
        default_value = "0.0.0.0"
    )]
    pub broker_host: std::net::IpAddr,
    /// Port to listen on for Kafka clients.
    #[arg(
        long,
        env = "YAKS_BROKER_PORT",
        value_name = "YAKS_BROKER_PORT",
        default_value_t = 9092
    )]
    pub broker_port: u16,
    /// Host that clients are told to connect to; `auto`: the private address that ECS gave this container.
    #[arg(long, env = "YAKS_ADVERTISED_HOST", value_name = "YAKS_ADVERTISED_HOST", default_value = "localhost", value_parser = advertised_host)]
    pub advertised_host: String,
    /// Port that clients are told to connect to; 0: the port listened on.
    #[arg(
        long,
        env = "YAKS_ADVERTISED_PORT",
        value_name = "YAKS_ADVERTISED_PORT",
        default_value_t = 0
    )]
    pub advertised_port: u16,
    /// Several listeners in place of the one above, as `NAME://address:port=host:port`, comma-separated: clients that come in at
    /// `address:port` are told to connect to `host:port`, and to what other agents advertise under the same name. Without
    /// `=host:port`: to YAKS_ADVERTISED_HOST and the port listened on. Such as
    /// `INTERNAL://0.0.0.0:29092=agent-1:29092,EXTERNAL://0.0.0.0:9092=localhost:9092`.
    #[arg(long, env = "YAKS_LISTENERS", value_name = "YAKS_LISTENERS", default_value = "", value_parser = Listeners::parse)]
    pub listeners: Listeners,
    /// Zone of this agent, shown to clients as its rack; empty: none; `auto`: the zone in which ECS runs it.
    #[arg(long, env = "YAKS_RACK", value_name = "YAKS_RACK", default_value = "")]
    pub rack: String,
    /// Port of `/livez`, `/readyz` and `/metrics`, always served.
    #[arg(
        long,
        env = "YAKS_METRICS_PORT",
        value_name = "YAKS_METRICS_PORT",
        default_value_t = 9090
    )]
    pub metrics_port: u16,
    /// File with AWS's prices, from which metrics tell what topics cost; empty: list prices of us-east-1, as they are in
    /// crates/prices/prices.toml, which shows what such a file looks like.
    #[arg(long, env = "YAKS_PRICES", value_name = "YAKS_PRICES", default_value = "")]
    pub prices: String,
    /// Whether to bring the database schema up to date at start.
    #[arg(long, env = "YAKS_RUN_MIGRATIONS", value_name = "YAKS_RUN_MIGRATIONS", default_value = "false", action = ArgAction::Set)]
    pub run_migrations: bool,
    /// Most connections at once; more wait until one is closed. Each takes a file descriptor and some memory.
    #[arg(long, env = "YAKS_CONNECTIONS_MAX", value_name = "YAKS_CONNECTIONS_MAX", default_value_t = 20_000,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub connections_max: usize,
    /// Memory for all that is on its way through the agent, in MiB, 432 or more: half of it for requests until their data are in S3
    /// (`YAKS_INFLIGHT_BYTES`), three eighths for answers to fetches, the rest for other answers, searches and pushes into the
    /// sidecar. What is used up makes others wait. The process takes more than this: for its code, its connections, and what the
    /// allocator keeps.
    #[arg(long, env = "YAKS_MEMORY_MB", value_name = "YAKS_MEMORY_MB", default_value_t = 768,
          value_parser = clap::value_parser!(u64).range(MEMORY_MB_MIN..=1_048_576))]
    pub memory_mb: u64,
    /// Whether a client's question for a topic that is not there creates it (Kafka: `auto.create.topics.enable`).
    #[arg(long, env = "YAKS_AUTO_CREATE_TOPICS", value_name = "YAKS_AUTO_CREATE_TOPICS", default_value = "true", action = ArgAction::Set)]
    pub auto_create_topics: bool,
    /// Partitions of a topic created without a count (Kafka: `num.partitions`).
    #[arg(long, env = "YAKS_NUM_PARTITIONS", value_name = "YAKS_NUM_PARTITIONS", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub num_partitions: i32,
    /// How long a silent agent keeps its place, in ms. Shorter: clients leave a dead agent sooner; a pause of the process
    /// or of Postgres looks like death sooner.
    #[arg(long, env = "YAKS_LEASE_TTL_MS", value_name = "YAKS_LEASE_TTL_MS", default_value_t = 5000,
          value_parser = clap::value_parser!(u64).range(1000..=60_000))]
    pub lease_ttl_ms: u64,
    /// How often an agent renews its lease, in ms; less than half the TTL. Each renewal is one small transaction.
    #[arg(long, env = "YAKS_LEASE_HEARTBEAT_MS", value_name = "YAKS_LEASE_HEARTBEAT_MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(100..=30_000))]
    pub lease_heartbeat_ms: u64,
    /// Most bytes of one fetch response.
    #[arg(long, env = "YAKS_FETCH_MAX_BYTES", value_name = "YAKS_FETCH_MAX_BYTES", default_value_t = 52_428_800,
          value_parser = clap::value_parser!(u32).range(1024..=1_073_741_824))]
    pub fetch_max_bytes: u32,
    /// Most fetch sessions (Kafka: `max.incremental.fetch.session.cache.slots`). A consumer without one says with every fetch all
    /// that it reads.
    #[arg(long, env = "YAKS_FETCH_SESSIONS_MAX", value_name = "YAKS_FETCH_SESSIONS_MAX", default_value_t = FETCH_SESSIONS_MAX,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=100_000))]
    pub fetch_sessions_max: usize,
    /// How long a stop may take, in ms, before what is left is abandoned (nothing acknowledged is).
    #[arg(
        long,
        env = "YAKS_SHUTDOWN_MS",
        value_name = "YAKS_SHUTDOWN_MS",
        default_value_t = 25_000
    )]
    pub shutdown_ms: u64,
}

/// How records become objects.
#[derive(Args, Clone, Debug)]
pub struct WriteConfig {
    /// Shortest time between two objects of this agent, in ms, unless one is full. Shorter: lower latency, more PUTs.
    #[arg(long, env = "YAKS_FLUSH_INTERVAL_MS", value_name = "YAKS_FLUSH_INTERVAL_MS", default_value_t = 250,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub flush_interval_ms: u64,
    /// Bytes at which an object is full. Larger: fewer PUTs per GiB, more memory.
    #[arg(long, env = "YAKS_FLUSH_BYTES", value_name = "YAKS_FLUSH_BYTES", default_value_t = 5_242_880,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1024..=268_435_456))]
    pub flush_bytes: usize,
    /// How long the first record after an idle interval waits for company, in ms.
    #[arg(long, env = "YAKS_LINGER_MS", value_name = "YAKS_LINGER_MS", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub linger_ms: u64,
    /// Most PUTs in flight. More: throughput when S3 is slow; each holds its object in memory.
    #[arg(long, env = "YAKS_UPLOADS_MAX", value_name = "YAKS_UPLOADS_MAX", default_value_t = 8,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub uploads_max: usize,
    /// Bytes of requests in memory at once, from before a request is read until its data are in S3; when they are
    /// used up nothing more is read. Not set: half of `YAKS_MEMORY_MB`, less 16 MiB for requests that are not Produce. It must leave
    /// 232 MiB of that.
    #[arg(long, env = "YAKS_INFLIGHT_BYTES", value_name = "YAKS_INFLIGHT_BYTES", value_parser = permit_bytes)]
    pub inflight_bytes: Option<usize>,
    /// Largest record batch taken (Kafka: `message.max.bytes`).
    #[arg(long, env = "YAKS_MESSAGE_MAX_BYTES", value_name = "YAKS_MESSAGE_MAX_BYTES", default_value_t = BATCH_BYTES_MAX,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1024..=FRAME_BYTES_MAX as u64))]
    pub message_max_bytes: usize,
    /// When a batch is acknowledged: `auto`, `durable` or `committed`.
    #[arg(
        long,
        env = "YAKS_ACK_MODE",
        value_name = "YAKS_ACK_MODE",
        value_enum,
        default_value = "auto"
    )]
    pub ack_mode: AckMode,
}

/// How objects get their offsets.
#[derive(Args, Clone, Debug)]
pub struct CommitConfig {
    /// Who commits first: `event` (the function, by the S3 event), `invoke` (the function, invoked by the agent) or
    /// `inline` (the agent itself). The S3 event stays the safety net of all three.
    #[arg(
        long,
        env = "YAKS_COMMIT_PATH",
        value_name = "YAKS_COMMIT_PATH",
        value_enum,
        default_value = "event"
    )]
    pub commit_path: CommitPath,
    /// An object not committed so many ms after its PUT is committed by the agent itself; 0: never, so that a lost event
    /// is never made good while the agent lives (for tests).
    #[arg(long, env = "YAKS_COMMIT_STALL_MS", value_name = "YAKS_COMMIT_STALL_MS", default_value_t = 2000,
          value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub commit_stall_ms: u64,
    /// How often an agent with uncommitted objects or waiting readers looks for commits, in ms, when no hint comes.
    #[arg(long, env = "YAKS_MATERIALIZE_INTERVAL_MS", value_name = "YAKS_MATERIALIZE_INTERVAL_MS", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub materialize_interval_ms: u64,
    /// Most record batches in one commit of the agent.
    #[arg(long, env = "YAKS_MATERIALIZE_BATCH_SIZE", value_name = "YAKS_MATERIALIZE_BATCH_SIZE", default_value_t = 1000,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub materialize_batch_size: usize,
    /// Name or ARN of the function; needed by `invoke`.
    #[arg(
        long,
        env = "YAKS_LAMBDA_FUNCTION",
        value_name = "YAKS_LAMBDA_FUNCTION",
        default_value = ""
    )]
    pub lambda_function: String,
    /// Endpoint of the Lambda service; empty: AWS.
    #[arg(
        long,
        env = "YAKS_LAMBDA_ENDPOINT",
        value_name = "YAKS_LAMBDA_ENDPOINT",
        default_value = ""
    )]
    pub lambda_endpoint: String,
}

/// Consumer groups, and how agents reach each other for them.
#[derive(Args, Clone, Debug)]
pub struct GroupConfig {
    /// Host at which other agents reach this one, for requests of groups that it coordinates; `auto`: the address from which
    /// it reaches Postgres, unless `YAKS_BROKER_HOST` names one.
    #[arg(
        long,
        env = "YAKS_PEER_HOST",
        value_name = "YAKS_PEER_HOST",
        default_value = "auto",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub peer_host: String,
    /// Shortest session timeout a group member may ask for, in ms (Kafka: `group.min.session.timeout.ms`).
    #[arg(long, env = "YAKS_GROUP_MIN_SESSION_TIMEOUT_MS", value_name = "YAKS_GROUP_MIN_SESSION_TIMEOUT_MS",
          default_value_t = 6000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub group_min_session_timeout_ms: u64,
    /// Longest session timeout a group member may ask for, in ms (Kafka: `group.max.session.timeout.ms`).
    #[arg(long, env = "YAKS_GROUP_MAX_SESSION_TIMEOUT_MS", value_name = "YAKS_GROUP_MAX_SESSION_TIMEOUT_MS",
          default_value_t = 1_800_000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub group_max_session_timeout_ms: u64,
    /// How long the first members of a group wait for more, in ms (Kafka: `group.initial.rebalance.delay.ms`). Shorter:
    /// a first consumer starts sooner; a deployment that starts costs more rebalances.
    #[arg(long, env = "YAKS_GROUP_INITIAL_REBALANCE_DELAY_MS", value_name = "YAKS_GROUP_INITIAL_REBALANCE_DELAY_MS",
          default_value_t = 3000, value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub group_initial_rebalance_delay_ms: u64,
    /// Most members of one group (Kafka: `group.max.size`).
    #[arg(long, env = "YAKS_GROUP_MAX_SIZE", value_name = "YAKS_GROUP_MAX_SIZE", default_value_t = 2_147_483_647,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=2_147_483_647))]
    pub group_max_size: usize,
    /// How long the offsets of a group without members are kept, in minutes (Kafka: `offsets.retention.minutes`).
    #[arg(long, env = "YAKS_OFFSETS_RETENTION_MINUTES", value_name = "YAKS_OFFSETS_RETENTION_MINUTES",
          default_value_t = 10_080, value_parser = clap::value_parser!(u64).range(1..=5_256_000))]
    pub offsets_retention_minutes: u64,
    /// How often offsets past their retention are looked for, in ms (Kafka: `offsets.retention.check.interval.ms`).
    #[arg(long, env = "YAKS_OFFSETS_RETENTION_CHECK_INTERVAL_MS", value_name = "YAKS_OFFSETS_RETENTION_CHECK_INTERVAL_MS",
          default_value_t = 600_000, value_parser = clap::value_parser!(u64).range(1000..=86_400_000))]
    pub offsets_retention_check_interval_ms: u64,
}

impl GroupConfig {
    /// What groups and their members may ask for.
    pub fn limits(&self) -> GroupLimits {
        GroupLimits {
            session_min: Duration::from_millis(self.group_min_session_timeout_ms),
            session_max: Duration::from_millis(self.group_max_session_timeout_ms),
            initial_rebalance_delay: Duration::from_millis(self.group_initial_rebalance_delay_ms),
            members_max: self.group_max_size,
        }
    }
}

/// Where reads go first.
#[derive(Args, Clone, Debug)]
pub struct CacheConfig {
    /// Whether to read through the cache sidecar; S3 is read directly whenever it does not answer.
    #[arg(long, env = "YAKS_CACHE_ENABLED", value_name = "YAKS_CACHE_ENABLED", default_value = "false", action = ArgAction::Set)]
    pub cache_enabled: bool,
    /// Base URL of the sidecar.
    #[arg(
        long,
        env = "YAKS_CACHE_URL",
        value_name = "YAKS_CACHE_URL",
        default_value = "http://127.0.0.1:9080"
    )]
    pub cache_url: String,
    /// Base URL at which the other agents of this zone and their sidecars reach this one; the host `auto` is the container's
    /// address, as ECS tells it; empty: `YAKS_CACHE_URL`. The sidecars of a zone share the work: each object has one as its owner.
    /// Agents that advertise the same address, such as `http://127.0.0.1:9080`, each use their own.
    #[arg(
        long,
        env = "YAKS_CACHE_ADVERTISED_URL",
        value_name = "YAKS_CACHE_ADVERTISED_URL",
        default_value = ""
    )]
    pub cache_advertised_url: String,
}

impl CacheConfig {
    /// Where others reach the sidecar.
    pub fn advertised_url(&self) -> &str {
        if self.cache_advertised_url.is_empty() {
            &self.cache_url
        } else {
            &self.cache_advertised_url
        }
    }
}

impl Config {
    /// Checks what one setting alone cannot show; the message names the variables.
    pub fn validate(&self) -> Result<(), String> {
        if self.commit.commit_path == CommitPath::Invoke && self.commit.lambda_function.is_empty() {
            return Err("YAKS_COMMIT_PATH=invoke needs the function's name in YAKS_LAMBDA_FUNCTION".to_owned());
        }
        if self.broker.lease_heartbeat_ms * 2 > self.broker.lease_ttl_ms {
            return Err("YAKS_LEASE_HEARTBEAT_MS must be at most half of YAKS_LEASE_TTL_MS".to_owned());
        }
        if self.group.group_min_session_timeout_ms > self.group.group_max_session_timeout_ms {
            return Err(
                "YAKS_GROUP_MIN_SESSION_TIMEOUT_MS must not be above YAKS_GROUP_MAX_SESSION_TIMEOUT_MS".to_owned(),
            );
        }
        self.memory().map(|_| ())
    }

    /// How the memory is divided.
    pub fn memory(&self) -> Result<MemoryBudget, String> {
        MemoryBudget::split(self.broker.memory_mb, self.write.inflight_bytes)
    }

    /// Where to listen, and what the clients there are told; one listener at least.
    pub fn listeners(&self) -> Vec<Listener> {
        let broker = &self.broker;
        let described = broker.listeners.clone().complete(&broker.advertised_host);
        if !described.is_empty() {
            return described;
        }
        vec![Listener {
            name: DEFAULT_LISTENER.into(),
            bind: (broker.broker_host, broker.broker_port).into(),
            host: broker.advertised_host.clone(),
            port: match broker.advertised_port {
                0 => broker.broker_port,
                port => port,
            },
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_variable() {
        for (arg, variable) in [
            ("--node-id=-1", "YAKS_NODE_ID"),
            ("--flush-bytes=many", "YAKS_FLUSH_BYTES"),
            ("--inflight-bytes=1", "YAKS_INFLIGHT_BYTES"),
            ("--memory-mb=431", "YAKS_MEMORY_MB"),
            ("--ack-mode=maybe", "YAKS_ACK_MODE"),
            ("--advertised-host=", "YAKS_ADVERTISED_HOST"),
            ("--listeners=A://:1,A://:2", "YAKS_LISTENERS"),
            ("--fetch-sessions-max=-1", "YAKS_FETCH_SESSIONS_MAX"),
        ] {
            let message = Config::try_parse_from(["yaks-agent", arg]).unwrap_err().to_string();
            assert!(message.contains(variable), "{message}");
        }
    }

    #[test]
    fn an_agent_without_named_listeners_has_one_of_kafkas_default_name() {
        let config = Config::try_parse_from(["yaks-agent", "--broker-port=1", "--advertised-host=h"]).unwrap();
        let [only] = config.listeners().try_into().unwrap();
        assert_eq!(
            (&*only.name, only.bind.to_string(), only.host, only.port),
            ("PLAINTEXT", "0.0.0.0:1".into(), "h".into(), 1)
        );
    }

    #[test]
    fn bytes_in_flight_that_the_memory_has_no_room_for_stop_the_start() {
        let config = |args: &[&str]| Config::try_parse_from(["yaks-agent"].iter().chain(args)).unwrap();
        let large = "--inflight-bytes=1073741824";
        assert!(config(&[large]).validate().unwrap_err().contains("YAKS_MEMORY_MB=768"));
        assert_eq!(config(&[large, "--memory-mb=2048"]).validate(), Ok(()));
        assert_eq!(config(&[]).validate(), Ok(()));
    }

    #[test]
    fn invoke_without_a_function_is_refused() {
        let config = Config::try_parse_from(["yaks-agent", "--commit-path=invoke"]).unwrap();
        assert!(config.validate().unwrap_err().contains("YAKS_LAMBDA_FUNCTION"));
    }
}
