//! What a load costs on AWS in a month, by kind, and the same load on Kafka with three replicas on disks. Pure.
//!
//! Only what the load causes, and the machines it needs: what an idle deployment costs besides is in infra/README.md.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use prices::Prices;
use serde::Serialize;

use crate::units::{MIB, Rate, parse_bytes, parse_days, parse_duration, parse_rate};

const GB: f64 = 1e9;
const MILLION: f64 = 1e6;

/// A load.
#[derive(Args, Clone, Debug)]
pub struct CostFlags {
    /// What is produced, after compression: 20MiB, or records per second.
    #[arg(long, value_parser = parse_rate)]
    pub rate: Rate,
    /// Bytes of a record, where the rate is in records.
    #[arg(long, default_value = "1KiB", value_parser = parse_bytes)]
    pub record_size: u64,
    /// How long records are kept: 7d, 36h.
    #[arg(long, default_value = "7d", value_parser = parse_days)]
    pub retention: f64,
    /// Agents, all zones together.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub agents: u32,
    /// Zones that agents and clients are in.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=6))]
    pub zones: u32,
    /// How often old data are read again, which no cache holds any more.
    #[arg(long, default_value_t = 0.0)]
    pub rereads: f64,
    /// Partitions that are written to all the time.
    #[arg(long, default_value_t = 100)]
    pub partitions: u32,
    /// Who commits first.
    #[arg(long, value_enum, default_value = "event")]
    pub commit_path: CommitPath,
    /// `YAKS_FLUSH_INTERVAL_MS` of the agents.
    #[arg(long, default_value = "250ms", value_parser = parse_duration)]
    pub flush_interval: Duration,
    /// `YAKS_FLUSH_BYTES` of the agents.
    #[arg(long, default_value = "5MiB", value_parser = parse_bytes)]
    pub flush_bytes: u64,
    /// Other prices than those this program was built with (crates/prices/prices.toml).
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `YAKS_COMMIT_PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CommitPath {
    /// The function, by the S3 event.
    Event,
    /// The function, invoked by the agent; the event comes too.
    Invoke,
    /// The agent; the event comes too.
    Inline,
}

/// Dollars a month by kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bill(pub Vec<(&'static str, f64)>);

impl Bill {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.0.iter().map(|(_, dollars)| dollars).sum()
    }

    /// One kind.
    pub fn of(&self, kind: &str) -> f64 {
        self.0
            .iter()
            .find(|(name, _)| *name == kind)
            .map_or(0.0, |(_, dollars)| *dollars)
    }
}

impl CostFlags {
    fn bytes_per_s(&self) -> f64 {
        match self.rate {
            Rate::Bytes(bytes) => bytes,
            Rate::Records(records) => records * self.record_size as f64,
        }
    }

    /// An agent seals an object when it is full, or an interval after the last one; under a steady load there is always something
    /// in it.
    fn objects_per_s(&self) -> f64 {
        let agents = f64::from(self.agents);
        let by_size = self.bytes_per_s() / agents / self.flush_bytes as f64;
        let by_time = 1.0 / self.flush_interval.as_secs_f64().max(1e-3);
        let records_per_s = self.bytes_per_s() / self.record_size as f64;
        (agents * by_size.max(by_time)).min(records_per_s)
    }

    fn kept_gb(&self) -> f64 {
        self.bytes_per_s() * self.retention * 86_400.0 / GB
    }
}

fn seconds_per_month(prices: &Prices) -> f64 {
    prices.hours_per_month * 3600.0
}

/// Of yaks.
pub fn yaks(load: &CostFlags, prices: &Prices) -> Bill {
    let month = seconds_per_month(prices);
    let objects = load.objects_per_s() * month;
    let need = &prices.yaks;
    Bill(vec![
        ("PUT", objects * prices.put()),
        ("GET", gets(load, prices, objects) * prices.get()),
        ("SQS", {
            let requests = objects * need.sqs_requests_per_event + need.sqs_empty_polls_per_second * month;
            requests * prices.queue_request()
        }),
        ("Lambda", lambda(load, prices, objects)),
        ("Postgres", postgres(load, prices, objects)),
        ("ECS", {
            let disk = (need.disk_gb - 20.0).max(0.0) * prices.fargate.disk_gb_hour_above_20;
            let hour = need.vcpus * prices.fargate.vcpu_hour + need.memory_gb * prices.fargate.gb_hour + disk;
            f64::from(load.agents) * hour * prices.hours_per_month
        }),
        ("storage", load.kept_gb() * prices.s3.gb_month),
        // Between zones data go through S3, which charges nothing for that; clients are served in their own.
        ("cross-zone", 0.0),
    ])
}

/// The function reads footers, unless somebody committed before it came. What is written is pushed into the cache of its zone, and read once per page by each other zone; what
/// is read again later, by every zone.
fn gets(load: &CostFlags, prices: &Prices, objects: f64) -> f64 {
    let pages = load.bytes_per_s() * seconds_per_month(prices) / prices.yaks.page_bytes;
    let zones = f64::from(load.zones);
    let footers = match load.commit_path {
        CommitPath::Event => objects * prices.yaks.footer_gets_per_object,
        CommitPath::Invoke | CommitPath::Inline => 0.0,
    };
    footers + pages * (zones - 1.0) + pages * zones * load.rereads
}

fn lambda(load: &CostFlags, prices: &Prices, objects: f64) -> f64 {
    let need = &prices.yaks;
    let per_object = if load.commit_path == CommitPath::Invoke {
        2.0
    } else {
        1.0
    };
    let invocations = objects * per_object;
    let sweeps = need.sweeps_per_minute * 60.0 * prices.hours_per_month;
    invocations * prices.invocation() + sweeps * prices.function_call(need.sweep_seconds)
}

fn postgres(load: &CostFlags, prices: &Prices, objects: f64) -> f64 {
    let need = &prices.yaks;
    let instances = if need.standby { 2.0 } else { 1.0 };
    let machines = instances * need.acus * prices.aurora.acu_hour * prices.hours_per_month;
    let ios = objects * need.ios_per_commit / MILLION * prices.aurora.million_ios;
    let records_per_object = load.bytes_per_s() / load.record_size as f64 / load.objects_per_s().max(1e-9);
    let rows_per_object = f64::from(load.partitions).min(records_per_object);
    let rows = load.objects_per_s() * rows_per_object * load.retention * 86_400.0;
    machines + ios + rows * need.index_row_bytes / GB * prices.aurora.gb_month
}

/// Of Kafka.
pub fn kafka(load: &CostFlags, prices: &Prices) -> Bill {
    let need = &prices.kafka;
    let replicas = f64::from(need.replicas);
    let written_mib_per_s = load.bytes_per_s() * replicas / MIB;
    let brokers = (written_mib_per_s / need.broker_write_mib_per_s)
        .ceil()
        .max(f64::from(need.brokers_min));
    let produced_gb = load.bytes_per_s() * seconds_per_month(prices) / GB;
    Bill(vec![
        ("brokers", brokers * need.broker_hour * prices.hours_per_month),
        (
            "storage",
            load.kept_gb() * replicas / need.ebs_used_share * need.ebs_gb_month,
        ),
        (
            "cross-zone",
            produced_gb * zone_crossings(load.zones, replicas) * prices.network.cross_zone_gb,
        ),
    ])
}

/// How often a byte goes from one zone to another: to its leader, which is anywhere, and to the replicas that are not in the leader's
/// zone. Replicas are spread as evenly as can be; consumers read in their own zone.
fn zone_crossings(zones: u32, replicas: f64) -> f64 {
    let zones = f64::from(zones);
    let to_the_leader = (zones - 1.0) / zones;
    // The zones of the replicas, each with the same number of them, or one more than others.
    let used = zones.min(replicas);
    let (least, more) = ((replicas / used).floor(), replicas % used);
    let with_company = more * (least + 1.0).powi(2) + (used - more) * least.powi(2);
    to_the_leader + replicas - with_company / replicas
}

/// Both bills, side by side.
pub fn text(load: &CostFlags, prices: &Prices) -> String {
    let (ours, theirs) = (yaks(load, prices), kafka(load, prices));
    let mut text = format!(
        "US dollars a month, {}, prices of {}: {:.1} MiB/s kept for {} days ({:.0} GB), {} zones\n\n",
        prices.region,
        prices.date,
        load.bytes_per_s() / MIB,
        load.retention,
        load.kept_gb(),
        load.zones
    );
    let mut bill = |title: String, bill: &Bill| {
        let _ = writeln!(text, "{title}");
        for (kind, dollars) in &bill.0 {
            let _ = writeln!(text, "  {kind:<12} {dollars:>12.2}");
        }
        let _ = writeln!(text, "  {:<12} {:>12.2}\n", "together", bill.total());
    };
    bill(format!("yaks, {} agents", load.agents), &ours);
    bill(format!("Kafka, {} replicas on EBS", prices.kafka.replicas), &theirs);
    let _ = writeln!(text, "yaks costs {:.0} % of it", 100.0 * ours.total() / theirs.total());
    text
}

/// Both bills as JSON.
pub fn json(load: &CostFlags, prices: &Prices) -> serde_json::Value {
    let of = |bill: &Bill| -> serde_json::Map<String, serde_json::Value> {
        bill.0
            .iter()
            .map(|(kind, dollars)| ((*kind).to_owned(), (*dollars).into()))
            .collect()
    };
    serde_json::json!({
        "region": prices.region,
        "date": prices.date,
        "yaks": of(&yaks(load, prices)),
        "kafka": of(&kafka(load, prices)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rate: f64) -> CostFlags {
        CostFlags {
            rate: Rate::Bytes(rate),
            record_size: 1024,
            retention: 7.0,
            agents: 1,
            zones: 1,
            rereads: 0.0,
            partitions: 100,
            commit_path: CommitPath::Event,
            flush_interval: Duration::from_millis(250),
            flush_bytes: 5 << 20,
            prices: None,
            json: false,
        }
    }

    fn prices() -> Prices {
        Prices::built_in()
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= wanted.abs() * 0.01 + 0.005
    }

    #[test]
    fn an_agent_that_flushes_four_times_a_second_puts_as_infras_readme_says() {
        let bill = yaks(&load(10.0 * MIB), &prices());
        assert!(near(bill.of("PUT"), 52.56), "{bill:?}");
        assert!(
            near(bill.of("ECS"), 104.53 / 3.0),
            "three of them are the three-zone profile's: {bill:?}"
        );
        assert!(
            near(bill.of("storage"), 10.0 * MIB * 7.0 * 86_400.0 / 1e9 * 0.023),
            "{bill:?}"
        );
    }

    #[test]
    fn puts_follow_bytes_only_when_objects_are_full() {
        let puts = |rate| yaks(&load(rate), &prices()).of("PUT");
        assert!(near(puts(1.0 * MIB), puts(20.0 * MIB)));
        assert!(near(puts(40.0 * MIB), 2.0 * puts(20.0 * MIB)));
        assert!(
            puts(1024.0) < puts(1.0 * MIB) / 3.0,
            "a record a second is an object a second"
        );
    }

    #[test]
    fn a_page_is_read_once_by_each_zone_but_that_of_its_agent() {
        let gets = |zones, rereads| {
            let load = CostFlags {
                zones,
                rereads,
                ..load(10.0 * MIB)
            };
            yaks(&load, &prices()).of("GET")
        };
        let one_read = 10.0 * 730.0 * 3600.0 / 1000.0 * 0.0004;
        assert!(near(gets(3, 0.0) - gets(1, 0.0), 2.0 * one_read));
        assert!(near(gets(3, 1.0) - gets(3, 0.0), 3.0 * one_read));
    }

    #[test]
    fn a_footer_is_read_only_where_nobody_has_committed_before() {
        let gets = |commit_path| {
            let load = CostFlags {
                commit_path,
                ..load(10.0 * MIB)
            };
            yaks(&load, &prices()).of("GET")
        };
        let objects = 4.0 * 730.0 * 3600.0;
        assert!(near(gets(CommitPath::Event), objects / 1000.0 * 0.0004));
        assert_eq!((gets(CommitPath::Invoke), gets(CommitPath::Inline)), (0.0, 0.0));
    }

    #[test]
    fn kafka_pays_for_every_replica_and_every_zone_it_crosses() {
        let bill = |zones| {
            kafka(
                &CostFlags {
                    zones,
                    ..load(10.0 * MIB)
                },
                &prices(),
            )
        };
        let gb = 10.0 * MIB * 730.0 * 3600.0 / 1e9;
        assert_eq!(bill(1).of("cross-zone"), 0.0);
        assert!(near(bill(2).of("cross-zone"), gb * (0.5 + 4.0 / 3.0) * 0.02));
        assert!(near(bill(3).of("cross-zone"), gb * (2.0 / 3.0 + 2.0) * 0.02));
        let kept = 10.0 * MIB * 7.0 * 86_400.0 / 1e9;
        assert!(near(bill(3).of("storage"), kept * 3.0 / 0.6 * 0.08));
        assert!(near(bill(3).of("brokers"), 3.0 * 0.1632 * 730.0));
    }

    #[test]
    fn invoke_pays_for_the_function_twice() {
        let lambda = |commit_path| {
            let load = CostFlags {
                commit_path,
                ..load(10.0 * MIB)
            };
            yaks(&load, &prices()).of("Lambda")
        };
        let sweeps = 0.02;
        assert!(near(
            lambda(CommitPath::Invoke) - sweeps,
            2.0 * (lambda(CommitPath::Event) - sweeps)
        ));
        assert_eq!(lambda(CommitPath::Inline), lambda(CommitPath::Event));
    }

    #[test]
    fn the_text_has_every_kind_and_both_sums() {
        let text = text(&load(20.0 * MIB), &prices());
        for kind in [
            "PUT",
            "GET",
            "SQS",
            "Lambda",
            "Postgres",
            "ECS",
            "storage",
            "cross-zone",
            "brokers",
        ] {
            assert!(text.contains(kind), "{kind}: {text}");
        }
        assert_eq!(text.matches("together").count(), 2);
        assert!(text.contains("us-east-1, prices of 2026-11-26"));
    }
}
