//! The standard set. Each case starts the stack it needs and returns what it found.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Suite;
use super::parts;
use super::stack::{Stack, StackPlan};
use super::targets::Findings;
use crate::config::{ConsumeFlags, ProduceFlags, TargetFlags};
use crate::load::{self, Lagging, Plan};
use crate::probe::s3::{self, S3Counts};
use crate::report::{Phase, Report};
use crate::units::{MIB, Rate};

/// A case and the name it is asked for by.
pub(super) type Case = (&'static str, fn(&mut Suite<'_>) -> Result<Findings>);

/// In this order: `cold` and `mixed` read what `inline` has written.
pub(super) const CASES: [Case; 11] = [
    ("inline", inline),
    ("event", event),
    ("invoke", invoke),
    ("tail", tail),
    ("standard", standard),
    ("express", express),
    ("cold", cold),
    ("mixed", mixed),
    ("commit", parts::commit),
    ("plan", parts::plan),
    ("function", parts::function),
];

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
/// What `inline` writes, and `cold` and `mixed` read.
const FULL: &str = "full";
/// What a record or a batch may take of an object besides its value does not fill a page more.
const PAGE_BYTES: u64 = 1 << 20;
const FLUSH_BYTES: &str = "8388608";
/// Everything that is read stays in it.
const LARGE_CACHE_MB: &str = "4096";
/// Nothing that is read stays in it.
const SMALL_CACHE_MB: &str = "64";
const IDLE_CONNECTIONS: u64 = 10_000;
const BUSY_CONNECTIONS: u64 = 1_000;
/// What a slow reader holds is looked at for longer than the agent is patient with it.
const SLOW_TIME: Duration = Duration::from_secs(15);
const PARTITIONS: i32 = 100;
const GROUPS: u32 = 10;
const SCANS: u32 = 4;

type Settings = Vec<(&'static str, String)>;

pub(super) fn settings<const N: usize>(pairs: [(&'static str, &str); N]) -> Settings {
    let sizes = [("YAKS_CACHE_DISK_MB", "0"), ("YAKS_CACHE_PAGE_BYTES", "1048576")];
    sizes
        .into_iter()
        .chain(pairs)
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

/// At full rate: a hundred partitions, each with a batch of 64 KiB in an object of 8 MiB.
fn full_rate(suite: &Suite<'_>, topic: &str) -> ProduceFlags {
    ProduceFlags {
        topic: Some(topic.to_owned()),
        bytes: Some(suite.flags.bytes),
        warm_up: SECONDS(3),
        producers: 2,
        ..batches()
    }
}

fn batches() -> ProduceFlags {
    ProduceFlags {
        partitions: PARTITIONS,
        batch_size: Some(64 << 10),
        ..ProduceFlags::default()
    }
}

fn steady(rate_mib: f64, duration: Duration) -> ProduceFlags {
    ProduceFlags {
        rate: Some(Rate::Bytes(rate_mib * MIB)),
        // A connection takes so many requests at once; what waits behind them is not what is asked about.
        producers: 4,
        warm_up: SECONDS(4),
        duration,
        ..batches()
    }
}

fn plan(name: &str, target: &TargetFlags, produce: ProduceFlags) -> Plan {
    Plan {
        name: name.to_owned(),
        target: target.clone(),
        produce,
        tail_groups: 0,
        lagging: None,
    }
}

pub(super) fn start(
    suite: &Suite<'_>,
    directory: &str,
    agents: u16,
    s3_latency: &'static str,
    with: Settings,
) -> Result<Stack> {
    Stack::start(&StackPlan {
        binaries: &suite.binaries,
        data_dir: suite.data_dir.join(directory),
        agents,
        s3_latency,
        settings: with,
        seed: suite.seed,
    })
}

fn part(report: &Report, at: usize) -> Result<&Phase> {
    ensure!(
        report.failed == 0,
        "{} records failed: {:?}",
        report.failed,
        report.errors
    );
    report.phases.get(at).context("a part of the run is missing")
}

pub(super) fn found<const N: usize>(pairs: [(&str, Option<f64>); N]) -> Findings {
    let known = |(key, value): (&str, Option<f64>)| Some((key.to_owned(), value?));
    pairs.into_iter().filter_map(known).collect()
}

fn cpu(phase: &Phase, process: &str) -> Option<f64> {
    phase.costs.processes.get(process)?.cpu_s_per_gib
}

/// The S3 requests for each GiB that was PUT since `before`, on one commit path: to the end of the last event, which may come when
/// all is acked.
fn requests(stack: &Stack, before: &S3Counts, path: &str) -> Result<Findings> {
    stack.wait_for_events()?;
    per_gib_put(&s3::between(before, &stack.s3_counts()?), path)
}

fn per_gib_put(counts: &S3Counts, path: &str) -> Result<Findings> {
    let bytes = counts.get("PUT").map_or(0, |count| count.bytes);
    ensure!(bytes > 0, "nothing was put");
    let of = |(name, kind): (&str, &str)| {
        let requests = counts.get(kind).map_or(0, |count| count.requests);
        (format!("{path}.{name}"), crate::probe::per_gib(requests as f64, bytes))
    };
    Ok([("put", "PUT"), ("get", "GET"), ("list", "LIST")].map(of).into())
}

fn inline(suite: &mut Suite<'_>) -> Result<Findings> {
    let with = settings([
        ("YAKS_COMMIT_PATH", "inline"),
        ("YAKS_FLUSH_BYTES", FLUSH_BYTES),
        ("YAKS_CACHE_SIZE_MB", LARGE_CACHE_MB),
    ]);
    let stack = start(suite, "inline", 1, "none", with)?;
    let target = stack.target()?;
    let mut all = idle(suite, &target)?;
    let before = stack.s3_counts()?;
    let produced = suite.tell(load::produce(&plan(
        "full rate, inline",
        &target,
        full_rate(suite, FULL),
    ))?);
    let phase = part(&produced, 0)?;
    all.extend(found([
        ("produce.agent_cpu", cpu(phase, "agent")),
        ("produce.generator_cpu", cpu(phase, "yaks-bench")),
        ("produce.mib_per_s", phase.produced.map(|flow| flow.mib_per_s)),
    ]));
    all.extend(requests(&stack, &before, "inline")?);
    all.extend(warm(suite, &target)?);
    all.extend(crowds(suite, &target)?);
    suite.pages = Some(pages(&suite.data_dir.join("inline/s3"))?);
    all.extend(light(suite, &target)?);
    stack.stop()?;
    Ok(all)
}

fn idle(suite: &mut Suite<'_>, target: &TargetFlags) -> Result<Findings> {
    let report = suite.tell(load::idle::idle(target, IDLE_CONNECTIONS, SECONDS(15))?);
    let agent = part(&report, 0)?.costs.processes.get("agent").cloned();
    Ok(found([
        ("idle.rss", agent.as_ref().map(|agent| agent.rss_mib)),
        ("idle.cores", agent.map(|agent| agent.cores)),
    ]))
}

/// The agent's memory while many read at ease, and then at most while as many want much and take nothing.
fn crowds(suite: &mut Suite<'_>, target: &TargetFlags) -> Result<Findings> {
    let busy = load::crowd::busy(target, FULL, PARTITIONS, BUSY_CONNECTIONS, SECONDS(10))?;
    let busy = part(&suite.tell(busy), 0)?.costs.processes.get("agent").cloned();
    let slow = load::crowd::slow(target, FULL, PARTITIONS, BUSY_CONNECTIONS, SLOW_TIME)?;
    let slow = part(&suite.tell(slow), 0)?.costs.processes.get("agent").cloned();
    Ok(found([
        ("busy.rss", busy.map(|agent| agent.rss_peak_mib)),
        ("slow.rss", slow.map(|agent| agent.rss_peak_mib)),
    ]))
}

/// Everything is read twice, and the second time counts.
fn warm(suite: &mut Suite<'_>, target: &TargetFlags) -> Result<Findings> {
    load::consume(target, &scan(1))?;
    let consumed = suite.tell(load::consume(target, &scan(1))?);
    let phase = part(&consumed, 0)?;
    let together = cpu(phase, "agent")
        .zip(cpu(phase, "sidecar"))
        .map(|(agent, sidecar)| agent + sidecar);
    Ok(found([
        ("fetch.cpu", together),
        ("fetch.mib_per_s", phase.consumed.map(|flow| flow.mib_per_s)),
    ]))
}

fn scan(groups: u32) -> ConsumeFlags {
    ConsumeFlags {
        topic: FULL.to_owned(),
        groups,
        consumers: 1,
        bytes: None,
        warm_up: Duration::ZERO,
    }
}

fn light(suite: &mut Suite<'_>, target: &TargetFlags) -> Result<Findings> {
    let produce = ProduceFlags {
        partitions: 1,
        rate: Some(Rate::Records(2.5)),
        linger_ms: Some(0.0),
        warm_up: SECONDS(2),
        duration: SECONDS(24),
        ..ProduceFlags::default()
    };
    let report = load::produce(&Plan {
        tail_groups: 1,
        ..plan("light open load, inline", target, produce)
    })?;
    let report = suite.tell(report);
    let phase = part(&report, 0)?;
    Ok(found([
        ("light.ack_p50", phase.ack.as_ref().map(|told| told.p50_ms)),
        (
            "light.end_to_end_p50",
            phase.end_to_end.as_ref().map(|told| told.p50_ms),
        ),
    ]))
}

fn event(suite: &mut Suite<'_>) -> Result<Findings> {
    commit_path(suite, "event")
}

fn invoke(suite: &mut Suite<'_>) -> Result<Findings> {
    commit_path(suite, "invoke")
}

fn commit_path(suite: &mut Suite<'_>, path: &'static str) -> Result<Findings> {
    let with = settings([("YAKS_COMMIT_PATH", path), ("YAKS_FLUSH_BYTES", FLUSH_BYTES)]);
    let stack = start(suite, path, 1, "none", with)?;
    let name = format!("full rate, {path}");
    let before = stack.s3_counts()?;
    let report = suite.tell(load::produce(&plan(&name, &stack.target()?, full_rate(suite, path)))?);
    part(&report, 0)?;
    let all = requests(&stack, &before, path)?;
    stack.stop()?;
    Ok(all)
}

fn tail(suite: &mut Suite<'_>) -> Result<Findings> {
    let stack = start(suite, "tail", 2, "none", settings([("YAKS_COMMIT_PATH", "inline")]))?;
    // It reads the footer of every object, and is not what is asked about.
    stack.switch("function/stop")?;
    let produce = ProduceFlags {
        partitions: 12,
        ..steady(8.0, SECONDS(12))
    };
    let report = load::produce(&Plan {
        tail_groups: GROUPS,
        ..plan("10 groups at the tail, 2 agents", &stack.target()?, produce)
    })?;
    let report = suite.tell(report);
    let phase = part(&report, 0)?;
    // The report tells it by what was produced.
    let consumed = phase.consumed.map_or(0, |flow| flow.bytes);
    let gets = phase
        .costs
        .s3
        .as_ref()
        .map(|counts| counts.get("GET").map_or(0, |count| count.requests));
    let per_gib = gets.map(|gets| crate::probe::per_gib(gets as f64, consumed.max(1)));
    stack.stop()?;
    Ok(found([("tail.get", per_gib)]))
}

fn standard(suite: &mut Suite<'_>) -> Result<Findings> {
    let with = settings([("YAKS_COMMIT_PATH", "inline"), ("YAKS_FLUSH_INTERVAL_MS", "250")]);
    let stack = start(suite, "standard", 1, "standard", with)?;
    let target = stack.target()?;
    let mut all = acks(suite, &target, "standard")?;
    let produce = ProduceFlags {
        partitions: 1,
        client_stats: true,
        warm_up: SECONDS(4),
        duration: SECONDS(12),
        ..ProduceFlags::default()
    };
    let target = TargetFlags {
        settings: vec![("max.in.flight".to_owned(), "5".to_owned())],
        ..target
    };
    let report = suite.tell(load::produce(&plan(
        "one default producer, S3 standard",
        &target,
        produce,
    ))?);
    let phase = part(&report, 0)?;
    all.extend(found([
        ("one.in_flight", phase.requests_in_flight),
        ("one.mib_per_s", phase.produced.map(|flow| flow.mib_per_s)),
    ]));
    stack.stop()?;
    Ok(all)
}

fn express(suite: &mut Suite<'_>) -> Result<Findings> {
    let with = settings([("YAKS_COMMIT_PATH", "inline"), ("YAKS_FLUSH_INTERVAL_MS", "25")]);
    let stack = start(suite, "express", 1, "express", with)?;
    let all = acks(suite, &stack.target()?, "express")?;
    stack.stop()?;
    Ok(all)
}

fn acks(suite: &mut Suite<'_>, target: &TargetFlags, latency: &str) -> Result<Findings> {
    let name = format!("20 MiB/s, S3 {latency}");
    let report = suite.tell(load::produce(&plan(&name, target, steady(20.0, SECONDS(20))))?);
    let ack = part(&report, 0)?.ack.as_ref().context("no ack came in time")?;
    suite.curves.push((name, ack.curve.clone()));
    Ok([
        (format!("{latency}.ack_p50"), ack.p50_ms),
        (format!("{latency}.ack_p99"), ack.p99_ms),
    ]
    .into())
}

fn cold(suite: &mut Suite<'_>) -> Result<Findings> {
    let pages = suite
        .pages
        .context("there are no data: it needs the case `inline` before it")?;
    let with = settings([("YAKS_COMMIT_PATH", "inline"), ("YAKS_CACHE_SIZE_MB", LARGE_CACHE_MB)]);
    let stack = start(suite, "inline", 1, "none", with)?;
    let report = suite.tell(load::consume(&stack.target()?, &scan(SCANS))?);
    let counts = part(&report, 0)?.costs.s3.clone();
    let gets = counts.map(|counts| counts.get("GET").map_or(0, |count| count.requests));
    stack.stop()?;
    Ok(found([(
        "cold.get_per_page",
        gets.map(|gets| gets as f64 / pages as f64),
    )]))
}

fn mixed(suite: &mut Suite<'_>) -> Result<Findings> {
    ensure!(
        suite.pages.is_some(),
        "there are no data: it needs the case `inline` before it"
    );
    let with = settings([("YAKS_COMMIT_PATH", "inline"), ("YAKS_CACHE_SIZE_MB", SMALL_CACHE_MB)]);
    let stack = start(suite, "inline", 1, "none", with)?;
    let report = load::produce(&Plan {
        lagging: Some(Lagging { topic: FULL.to_owned() }),
        ..plan(
            "20 MiB/s, alone and beside a reader of cold data",
            &stack.target()?,
            steady(20.0, SECONDS(15)),
        )
    })?;
    let report = suite.tell(report);
    let p99 = |at| part(&report, at).map(|phase: &Phase| phase.ack.as_ref().map(|told| told.p99_ms));
    let ratio = p99(0)?.zip(p99(1)?).map(|(alone, beside)| beside / alone);
    let reader = part(&report, 1)?.consumed.map(|flow| flow.mib_per_s);
    stack.stop()?;
    Ok(found([("mixed.p99_ratio", ratio), ("mixed.reader_mib_per_s", reader)]))
}

/// How many pages all objects below a directory have.
fn pages(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory).with_context(|| format!("no objects in {}", directory.display()))? {
        let entry = entry?;
        sum += match entry.metadata()? {
            metadata if metadata.is_dir() => pages(&entry.path())?,
            metadata => metadata.len().div_ceil(PAGE_BYTES),
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::s3::S3Count;
    use crate::suite::targets::TARGETS;

    #[test]
    fn a_page_is_counted_where_an_object_ends_too() {
        let directory = std::env::temp_dir().join(format!("yaks-bench-pages-{}", std::process::id()));
        fs::create_dir_all(directory.join("a")).unwrap();
        fs::write(directory.join("a/one"), vec![0; 1]).unwrap();
        fs::write(directory.join("two"), vec![0; (1 << 20) + 1]).unwrap();
        assert_eq!(pages(&directory).unwrap(), 3);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn requests_are_told_for_each_gib_that_was_put() {
        let count = |requests, bytes| S3Count { requests, bytes };
        let counts = [("GET", count(3, 1 << 18)), ("PUT", count(260, 2 << 30))];
        let counts: S3Counts = counts.map(|(kind, count)| (kind.to_owned(), count)).into();
        let told = per_gib_put(&counts, "event").unwrap();
        let wanted = [("event.put", 130.0), ("event.get", 1.5), ("event.list", 0.0)];
        assert_eq!(told, wanted.map(|(key, value)| (key.to_owned(), value)).into());
        assert!(per_gib_put(&S3Counts::new(), "event").is_err());
    }

    #[test]
    fn every_case_has_a_target_of_its_name_or_its_loads() {
        let known: Vec<&str> = TARGETS
            .iter()
            .filter_map(|target| target.key.split('.').next())
            .collect();
        assert!(CASES.iter().all(|(name, _)| known.contains(name)), "{known:?}");
    }
}
