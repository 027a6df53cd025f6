//! The command line of `yaks-dev`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use crate::config::{AGENTS_MAX, AgentPorts, OutsideAws, StackConfig};
use crate::events::{EventFault, EventSource, QueueConfig};
use crate::s3::{LatencyProfile, S3FaultRate, parse_probability};

/// Runs all of yaks on this machine: Postgres, an S3, a Lambda service, the materializer, sidecars and agents.
#[derive(Clone, Debug, Parser)]
#[command(name = "yaks-dev", version = types::version())]
pub struct Cli {
    /// How many agents to run; agent n serves Kafka clients on YAKS_BROKER_PORT + n.
    #[arg(long, env = "AGENTS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(AGENTS_MAX)))]
    pub agents: u16,
    /// Where data and logs are kept.
    #[arg(long, env = "YAKS_DEV_DATA_DIR", default_value = ".yaks")]
    pub data_dir: PathBuf,
    /// The folder with yaks-agent, yaks-materializer and yaks-cache; the default is this program's own.
    #[arg(long, env = "YAKS_DEV_BINARIES")]
    pub binaries: Option<PathBuf>,
    /// Port of the first agent.
    #[arg(long, env = "YAKS_BROKER_PORT", default_value_t = 9092)]
    pub kafka_port: u16,
    /// Health and metrics of the first agent; agent n > 0 has this + 100 + n.
    #[arg(long, env = "YAKS_METRICS_PORT", default_value_t = 9090)]
    pub admin_port: u16,
    /// Port of the first sidecar; agent n has this + n.
    #[arg(long, env = "YAKS_CACHE_PORT", default_value_t = 9080)]
    pub cache_port: u16,
    /// Port of the embedded S3.
    #[arg(long, env = "YAKS_DEV_S3_PORT", default_value_t = 4566)]
    pub s3_port: u16,
    /// Port of the Invoke API, the stack's metrics and its switches.
    #[arg(long, env = "YAKS_DEV_PORT", default_value_t = 4567)]
    pub dev_port: u16,
    /// Port of the private Postgres; the default is a free one, which is printed.
    #[arg(long, env = "YAKS_DEV_POSTGRES_PORT")]
    pub postgres_port: Option<u16>,
    /// How S3's events reach the function.
    #[arg(long, env = "YAKS_DEV_EVENT_SOURCE", value_enum, default_value = "sqs")]
    pub event_source: EventSource,
    /// So many seconds the queue holds an event back; the default is 5 where agents commit first (YAKS_COMMIT_PATH is invoke or inline),
    /// else 0.
    #[arg(long, env = "YAKS_DEV_EVENT_DELAY_S", value_parser = clap::value_parser!(u64).range(0..=900))]
    pub event_delay_s: Option<u64>,
    /// After so many milliseconds an event that the function did not finish comes back.
    #[arg(long, env = "YAKS_DEV_VISIBILITY_TIMEOUT_MS", default_value_t = 60_000)]
    pub visibility_timeout_ms: u64,
    /// How often the function is asked to sweep, in milliseconds; 0 never.
    #[arg(long, env = "YAKS_DEV_SWEEP_INTERVAL_MS", default_value_t = 10_000)]
    pub sweep_interval_ms: u64,
    /// How many instances of the function run at once.
    #[arg(long, env = "YAKS_DEV_FUNCTION_INSTANCES", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub function_instances: u16,
    /// How long S3 takes to answer: `standard` (PUT p50 100 ms, p99 400 ms; GET 30 and 200 ms), `express` (5 and 15 ms), or as
    /// fast as this machine can.
    #[arg(long, env = "YAKS_DEV_S3_LATENCY", value_enum, default_value = "none")]
    pub s3_latency: LatencyProfile,
    /// Faults between S3 and its clients: fail (500 or 503), reset, lost (it happened, the answer did not come), late (it happens after
    /// the connection is gone), throttle, conflict, partial (a body cut short), slow; of put, get, head, list, delete, or of all.
    #[arg(
        long,
        env = "YAKS_DEV_S3_FAULTS",
        value_delimiter = ',',
        value_name = "[OPERATION:]FAULT=PROBABILITY,..."
    )]
    pub s3_faults: Vec<S3FaultRate>,
    /// Loses so many of S3's events, from 0 to 1.
    #[arg(long, env = "YAKS_DEV_DROP_EVENTS", default_value_t = 0.0, value_parser = parse_probability, value_name = "PROBABILITY")]
    pub drop_events: f64,
    /// Delivers so many twice.
    #[arg(long, env = "YAKS_DEV_DOUBLE_EVENTS", default_value_t = 0.0, value_parser = parse_probability, value_name = "PROBABILITY")]
    pub double_events: f64,
    /// Delivers so many up to half a minute late.
    #[arg(long, env = "YAKS_DEV_DELAY_EVENTS", default_value_t = 0.0, value_parser = parse_probability, value_name = "PROBABILITY")]
    pub delay_events: f64,
    /// Lets so many be overtaken by those behind them.
    #[arg(long, env = "YAKS_DEV_REORDER_EVENTS", default_value_t = 0.0, value_parser = parse_probability, value_name = "PROBABILITY")]
    pub reorder_events: f64,
    /// Decides which requests and events meet these faults, and which requests are slow.
    #[arg(long, env = "YAKS_DEV_SEED", default_value_t = 0)]
    pub seed: u64,
    /// An S3 that runs already, such as LocalStack's, in place of the embedded one. The function then reads the event queue itself.
    #[arg(
        long,
        env = "YAKS_DEV_AWS_ENDPOINT",
        value_name = "URL",
        requires = "event_queue_url"
    )]
    pub aws_endpoint: Option<String>,
    /// The SQS queue that this S3 sends its events to.
    #[arg(
        long,
        env = "YAKS_DEV_EVENT_QUEUE_URL",
        value_name = "URL",
        requires = "aws_endpoint"
    )]
    pub event_queue_url: Option<String>,
    /// Also print what the parts log.
    #[arg(short, long)]
    pub verbose: bool,
}

impl Cli {
    /// The stack it asks for; `own_folder` is where this program lies.
    pub fn stack_config(&self, own_folder: &Path) -> StackConfig {
        let binaries = self.binaries.clone().unwrap_or_else(|| own_folder.to_owned());
        let ports = |n| AgentPorts::numbered(n, self.kafka_port, self.admin_port, self.cache_port);
        StackConfig {
            data_dir: self.data_dir.clone(),
            agents: (0..self.agents).map(ports).collect(),
            s3_port: self.s3_port,
            dev_port: self.dev_port,
            postgres_port: self.postgres_port,
            event_source: self.event_source,
            queue: QueueConfig {
                visibility_timeout: Duration::from_millis(self.visibility_timeout_ms),
                ..QueueConfig::default()
            },
            event_delay: self.event_delay_s.map(Duration::from_secs),
            sweep_interval: Duration::from_millis(self.sweep_interval_ms),
            function_instances: usize::from(self.function_instances),
            seed: self.seed,
            s3_latency: self.s3_latency,
            s3_faults: self.s3_faults.clone(),
            event_faults: vec![
                (EventFault::Drop, self.drop_events),
                (EventFault::Duplicate, self.double_events),
                (EventFault::Delay, self.delay_events),
                (EventFault::Reorder, self.reorder_events),
            ],
            outside: self.outside(),
            ..StackConfig::for_make_up(self.agents, binaries)
        }
    }

    fn outside(&self) -> Option<OutsideAws> {
        let (endpoint, queue) = (self.aws_endpoint.clone()?, self.event_queue_url.clone()?);
        Some(OutsideAws {
            endpoint,
            event_queue_url: queue,
        })
    }
}
