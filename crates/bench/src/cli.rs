//! The command line of `yaks-bench`.

use std::time::Duration;

use bench::config::{ConsumeFlags, ProduceFlags, TargetFlags};
use bench::cost::CostFlags;
use bench::suite::SuiteFlags;
use bench::units::parse_duration;
use clap::{Args, Parser, Subcommand};

/// Puts a load on Kafka brokers and measures what becomes of it. Exit code 0: every record was acked, and read where somebody
/// read; 1: some were not; 2: could not run.
#[derive(Debug, Parser)]
#[command(name = "yaks-bench", version = types::version())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Producers only.
    Produce(ProduceCommand),
    /// Reads a topic that is there, from its beginning.
    Consume(ConsumeCommand),
    /// Producers and a reader at the end: also the time from a record's producer to its consumer.
    E2e(ProduceCommand),
    /// Producers at a steady rate, first alone and then beside a reader of old data.
    Mixed(MixedCommand),
    /// Producers and several groups at the end, each reading everything.
    Fanout(FanoutCommand),
    /// Connections that say nothing.
    Idle(IdleCommand),
    /// Connections that each fetch 64 KiB a second from the beginning of a topic.
    Busy(CrowdCommand),
    /// Connections that each ask for 50 MiB and read nothing.
    Slow(CrowdCommand),
    /// The standard set, each load against the dev-stack it needs, and a table of what was aimed at and what was found.
    Suite(SuiteFlags),
    /// What a load costs on AWS in a month, and on Kafka with three replicas.
    Cost(CostFlags),
}

#[derive(Args, Debug)]
pub(crate) struct ProduceCommand {
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) produce: ProduceFlags,
}

#[derive(Args, Debug)]
pub(crate) struct ConsumeCommand {
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) consume: ConsumeFlags,
}

#[derive(Args, Debug)]
pub(crate) struct MixedCommand {
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) produce: ProduceFlags,
    /// The topic with old data; the default is the one that is written to.
    #[arg(long)]
    pub(crate) old_topic: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct FanoutCommand {
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) produce: ProduceFlags,
    /// How many groups.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) groups: u32,
}

#[derive(Args, Debug)]
pub(crate) struct IdleCommand {
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    /// How many connections.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: u64,
    /// How long to measure.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct CrowdCommand {
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    /// Topic with something in it.
    #[arg(long)]
    pub(crate) topic: String,
    /// How many partitions of it are read.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,
    /// How many connections.
    #[arg(long, default_value_t = 1000)]
    pub(crate) connections: u64,
    /// How long to measure.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
}
