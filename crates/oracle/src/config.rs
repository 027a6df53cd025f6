//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;

use crate::record::OVERHEAD_BYTES_MAX;

/// The flags of the oracle.
#[derive(Clone, Debug, clap::Args)]
pub struct OracleConfig {
    /// Brokers, comma-separated. Each producer and each consumer bootstraps from one of them, in turn; from there on the cluster's
    /// metadata decides whom it talks to.
    #[arg(
        long,
        default_value = "localhost:9092",
        value_delimiter = ',',
        value_name = "HOST:PORT,..."
    )]
    pub brokers: Vec<String>,

    /// Topics to create and write to.
    #[arg(long, default_value_t = 2)]
    pub topics: u32,

    /// Partitions of each topic.
    #[arg(long, default_value_t = 3)]
    pub partitions: i32,

    /// Concurrent producers, each a client of its own.
    #[arg(long, default_value_t = 50)]
    pub producers: u32,

    /// Concurrent consumers; each reads its share of the partitions.
    #[arg(long, default_value_t = 4)]
    pub consumers: usize,

    /// Records each producer sends.
    #[arg(long, default_value_t = 200)]
    pub records: u64,

    /// Size of a record's value in bytes.
    #[arg(long, default_value_t = 512, value_name = "BYTES")]
    pub record_bytes: usize,

    /// How long to wait for all acked records to be readable: 500ms, 120s, 5m.
    #[arg(long, default_value = "120s", value_parser = parse_duration, value_name = "DURATION")]
    pub consume_timeout: Duration,

    /// How long a producer tries to deliver one record before it gives it up.
    #[arg(long, default_value = "120s", value_parser = parse_duration, value_name = "DURATION")]
    pub delivery_timeout: Duration,

    /// Whose promise an ack is: all or 1.
    #[arg(long, default_value = "all")]
    pub acks: Acks,

    /// Produce idempotently, and check that no record is there twice.
    #[arg(long)]
    pub idempotent: bool,

    /// Requests one producer keeps in flight on a connection. Default: 5 when idempotent, else 1, because a retry that overtakes
    /// is the client's doing and would be blamed on the broker.
    #[arg(long, value_name = "REQUESTS")]
    pub max_in_flight: Option<u32>,

    /// Which order of a producer's records is judged.
    #[arg(long, default_value = "sent")]
    pub ordering: Ordering,

    /// Codec of the producers; mixed gives them all of them, in turn.
    #[arg(long, default_value = "none")]
    pub compression: Compression,

    /// Records per second of each producer; 0 is as fast as possible.
    #[arg(long, default_value_t = 0, value_name = "RECORDS_PER_SECOND")]
    pub rate: u32,

    /// Seed of the payloads and of who writes where; drawn and printed when not given.
    #[arg(long)]
    pub seed: Option<u64>,

    /// Names of the topics begin with this.
    #[arg(long, default_value = "oracle")]
    pub topic_prefix: String,

    /// Where the SQLite ledger goes.
    #[arg(long, default_value = ".yaks/oracle", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
}

impl Default for OracleConfig {
    fn default() -> Self {
        use clap::{Args, FromArgMatches};
        let matches = Self::augment_args(clap::Command::new("oracle")).get_matches_from(["oracle"]);
        Self::from_arg_matches(&matches).expect("every flag has a default or is optional")
    }
}

impl OracleConfig {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.brokers.iter().all(|broker| broker.contains(':')),
            "--brokers must be host:port, comma-separated"
        );
        ensure!(self.topics > 0, "--topics must be at least 1");
        ensure!(self.partitions > 0, "--partitions must be at least 1");
        ensure!(self.producers > 0, "--producers must be at least 1");
        ensure!(self.consumers > 0, "--consumers must be at least 1");
        ensure!(self.records > 0, "--records must be at least 1");
        ensure!(
            self.topic_prefix.len() <= 100,
            "--topic-prefix must be at most 100 bytes"
        );
        ensure!(
            self.record_bytes >= OVERHEAD_BYTES_MAX,
            "--record-bytes must be at least {OVERHEAD_BYTES_MAX}: a value names its record before the payload begins"
        );
        ensure!(
            !self.idempotent || self.acks == Acks::All,
            "--idempotent needs --acks all"
        );
        Ok(())
    }

    pub(crate) fn max_in_flight(&self) -> u32 {
        self.max_in_flight.unwrap_or(if self.idempotent { 5 } else { 1 })
    }

    /// The broker that client number `index` bootstraps from.
    pub(crate) fn bootstrap(&self, index: usize) -> &str {
        &self.brokers[index % self.brokers.len()]
    }
}

/// When a broker may ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Acks {
    /// When the record is committed and readable.
    All,
    /// When the record is safe; its offset may not be known yet.
    #[value(name = "1")]
    One,
}

impl Acks {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::One => "1",
        }
    }
}

/// Which order of a producer's records is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ordering {
    /// What was sent later lies later.
    Sent,
    /// What was sent after an ack lies behind what was acked: all that can be asked of producers that are not idempotent and move
    /// between brokers with records under way.
    Acked,
    /// None, as when an acks=1 producer moves between brokers.
    Unjudged,
}

/// The codec of the producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "the names are Kafka's own")]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
    Mixed,
}

impl Compression {
    /// The codec of producer `index`.
    pub(crate) fn of_producer(self, index: u32) -> &'static str {
        const IN_TURN: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Mixed => IN_TURN[index as usize % IN_TURN.len()],
        }
    }
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("'{text}' does not begin with a number"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("'{unit}' is no unit of time, use ms, s or m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_all_their_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("120s"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert!(parse_duration("5h").is_err());
        assert!(parse_duration("s").is_err());
    }

    #[test]
    fn the_defaults_are_a_run_worth_doing() {
        let config = OracleConfig::default();
        config.validate().unwrap();
        assert_eq!(
            (config.producers, config.topics, config.partitions, config.records),
            (50, 2, 3, 200)
        );
    }

    #[test]
    fn clients_take_the_brokers_in_turn() {
        let config = OracleConfig {
            brokers: vec!["a:1".into(), "b:2".into()],
            ..OracleConfig::default()
        };
        assert_eq!(
            [config.bootstrap(0), config.bootstrap(1), config.bootstrap(2)],
            ["a:1", "b:2", "a:1"]
        );
    }

    #[test]
    fn idempotence_with_acks_1_is_refused() {
        let config = OracleConfig {
            idempotent: true,
            acks: Acks::One,
            ..OracleConfig::default()
        };
        assert!(config.validate().unwrap_err().to_string().contains("--idempotent"));
    }
}
