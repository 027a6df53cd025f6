//! The flags that loads have in common.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::{Args, FromArgMatches};

use crate::payload::HEADER_BYTES;
use crate::probe::Probes;
use crate::probe::process::Process;
use crate::units::{Rate, parse_bytes, parse_duration, parse_rate};

/// Which brokers, and what is looked at meanwhile.
#[derive(Args, Clone, Debug)]
pub struct TargetFlags {
    /// Brokers to bootstrap from, comma-separated.
    #[arg(long, default_value = "localhost:9092", value_name = "HOST:PORT,...")]
    pub brokers: String,
    /// A setting of librdkafka for every client, such as `-X security.protocol=SSL`; it wins over what other flags set. Repeatable.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub settings: Vec<(String, String)>,
    /// A process whose processor time, memory and context switches are told. Repeatable; those of one name are added up.
    #[arg(long, value_name = "NAME=PID")]
    pub pid: Vec<Process>,
    /// Where an S3 serves its counters: http://127.0.0.1:4567/metrics of `yaks-dev`.
    #[arg(long, value_name = "URL")]
    pub s3_stats: Option<String>,
    /// A Postgres database whose transactions and rows are told, as postgres://user:password@host:port/database.
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Also writes what was measured here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is produced.
#[derive(Args, Clone, Debug)]
pub struct ProduceFlags {
    /// Topic; made when it is not there. Without it: a new one.
    #[arg(long)]
    pub topic: Option<String>,
    /// Partitions of a topic that is made.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Bytes of a record's value.
    #[arg(long, default_value = "1KiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub record_size: u64,
    /// Bytes of values in a batch: so many go to one partition before the next one has its turn. Without it: librdkafka's own.
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES")]
    pub batch_size: Option<u64>,
    /// How long a batch waits to become full. Without it: librdkafka's own (5).
    #[arg(long, value_name = "MS")]
    pub linger_ms: Option<f64>,
    /// Clients that produce, each with connections and a thread of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub producers: u32,
    /// Of all producers together, in bytes (20MiB) or records (1000) per second. Without it: as fast as it goes.
    #[arg(long, value_parser = parse_rate)]
    pub rate: Option<Rate>,
    /// Which acks to wait for: all, 1 or 0.
    #[arg(long, default_value = "all", value_parser = ["all", "-1", "1", "0"])]
    pub acks: String,
    /// Codec: none, gzip, snappy, lz4 or zstd; half of each value can be compressed.
    #[arg(long, default_value = "none")]
    pub compression: String,
    /// How long to produce before anything is measured.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub warm_up: Duration,
    /// How long to measure (`mixed`: each of its two halves).
    #[arg(long, default_value = "30s", value_parser = parse_duration, conflicts_with = "bytes")]
    pub duration: Duration,
    /// How much to produce while measuring, in place of a duration.
    #[arg(long, value_parser = parse_bytes)]
    pub bytes: Option<u64>,
    /// Seed of the values.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also tells how many requests were waiting for their answers, on average.
    #[arg(long)]
    pub client_stats: bool,
}

/// What is read.
#[derive(Args, Clone, Debug)]
pub struct ConsumeFlags {
    /// Topic; it has to be there.
    #[arg(long)]
    pub topic: String,
    /// Readers of everything, at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub groups: u32,
    /// Clients of each group, which share the partitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub consumers: u32,
    /// Ends when so much was read by all together, and not at the end of the topic.
    #[arg(long, value_parser = parse_bytes)]
    pub bytes: Option<u64>,
    /// How long to read before anything is measured.
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub warm_up: Duration,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn defaults<A: Args + FromArgMatches>() -> A {
    let matches = A::augment_args(clap::Command::new("bench")).get_matches_from(["bench"]);
    A::from_arg_matches(&matches).expect("every flag has a default or is optional")
}

impl Default for TargetFlags {
    fn default() -> Self {
        defaults()
    }
}

impl Default for ProduceFlags {
    fn default() -> Self {
        defaults()
    }
}

impl TargetFlags {
    /// What is looked at: this program first, for a generator that is the bottleneck has measured itself.
    pub fn probes(&self) -> Probes {
        let mut processes = vec![Process::own("yaks-bench")];
        processes.extend(self.pid.iter().cloned());
        Probes {
            processes,
            s3: self.s3_stats.clone(),
            postgres: self.postgres.clone(),
        }
    }
}

impl ProduceFlags {
    /// Checks what one flag alone cannot show.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.record_bytes() >= HEADER_BYTES,
            "--record-size must be at least {HEADER_BYTES}: a record tells when it was sent"
        );
        Ok(())
    }

    /// Bytes of a value.
    pub fn record_bytes(&self) -> usize {
        usize::try_from(self.record_size).unwrap_or(usize::MAX)
    }

    /// Records that go to one partition before the next one has its turn.
    pub fn records_per_batch(&self) -> u64 {
        const LIBRDKAFKAS_OWN: u64 = 1_000_000;
        let bytes = self.batch_size.unwrap_or(LIBRDKAFKAS_OWN);
        bytes.div_ceil(self.record_size.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_load_worth_running() {
        let flags = ProduceFlags::default();
        flags.validate().unwrap();
        assert_eq!(
            (flags.record_bytes(), flags.acks.as_str(), flags.rate),
            (1024, "all", None)
        );
        let own = TargetFlags::default().probes();
        assert_eq!((own.processes.len(), own.processes[0].pid), (1, std::process::id()));
    }

    #[test]
    fn batches_are_whole_records() {
        let flags = ProduceFlags {
            batch_size: Some(64 << 10),
            record_size: 1000,
            ..ProduceFlags::default()
        };
        assert_eq!(flags.records_per_batch(), 66);
        let too_small = ProduceFlags {
            record_size: 8,
            ..ProduceFlags::default()
        };
        assert!(too_small.validate().unwrap_err().to_string().contains("--record-size"));
    }
}
