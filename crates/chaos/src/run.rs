//! One run: start, load and faults, heal, drain, judge, report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dev_stack::{Stack, StackConfig};
use tokio::time::Instant;

use crate::census::Census;
use crate::config::Config;
use crate::fault::Fault;
use crate::load::{self, Load, LoadPlan, Producing, so_far};
use crate::report::{LoadReport, Report};
use crate::say::Diary;
use crate::tail::Tails;
use crate::tracks::{self, Scene};
use crate::{drain, inspect};

/// The shortest grace that the function takes: just longer than the default lease.
const SWEEP_GRACE_MS: &str = "5001";
/// Short, so that orphans are deleted while other faults strike.
const ORPHAN_GRACE_MS: &str = "10000";
/// After the minutes are over: for kinds of faults that have not come yet.
const OVERTIME: Duration = Duration::from_secs(300);
/// The load gets going before the first fault, and shows that it recovers after the last.
const WARM_UP: Duration = Duration::from_secs(3);
const COOL_DOWN: Duration = Duration::from_secs(5);
const TAILS_WITHIN: Duration = Duration::from_secs(120);

/// Runs it; the report says whether it passed. An error means that it could not be run.
pub(crate) async fn run(config: &Config, seed: u64) -> Result<Report> {
    let diary = Diary::new();
    let folder = fresh_folder(&config.data_dir, seed)?;
    diary.note(format!("seed {seed}, data in {}", folder.display()));
    let stack = Arc::new(Stack::start(stack_config(config, seed, &folder)?).await?);
    diary.note(format!("{} agents run: {}", config.agents, stack.bootstrap()));
    let (loads, producing, tails) = begin(config, seed, &stack, folder.join("oracle")).await?;
    let census = Census::default();
    trouble(
        config,
        seed,
        &Scene {
            stack: &stack,
            loads: &loads,
            census: &census,
            diary: &diary,
            until: Instant::now() + Duration::from_secs(config.minutes * 60),
            at_most: Instant::now() + Duration::from_secs(config.minutes * 60) + OVERTIME,
        },
    )
    .await;
    drain::producers(&loads, producing, &diary).await?;
    drain::settled(&stack, &diary).await?;
    let mut served = tokio::task::spawn_blocking(move || tails.finish(TAILS_WITHIN)).await??;
    std::mem::take(&mut served.findings)
        .into_iter()
        .for_each(|finding| diary.violation(finding));
    let judged = inspect::verdicts(&loads, &diary).await?;
    inspect::live_readers(&loads, &served.logs, &diary)?;
    let audit = inspect::audit(&stack, &diary).await?;
    let streams = drain::sql(&stack, STREAMS).await?;
    for fault in census.missing(&Fault::ALL) {
        diary.violation(format!("{} never came while writes were in flight", fault.name()));
    }
    stop(stack, &diary).await;
    let loads: Vec<LoadReport> = judged
        .iter()
        .map(|(name, report)| LoadReport::new(name, report))
        .collect();
    let violations = diary.violations();
    let report = Report {
        passed: violations.is_empty(),
        seed,
        minutes: config.minutes,
        again: format!("make chaos MINUTES={} SEED={seed}", config.minutes),
        seconds: diary.elapsed_s(),
        records_checked: loads.iter().map(LoadReport::checked).sum(),
        loads,
        tail_records: served.records,
        faults: census.counts(),
        audit,
        streams,
        violations,
    };
    report.write(&folder)?;
    if report.passed && !config.keep {
        forget(&folder);
    }
    Ok(report)
}

/// What became of the agents' incarnations.
const STREAMS: &str = "select 'Streams: ' || count(*) || ' opened, ' || count(end_seq) || ' ended with a tombstone, '
    || coalesce(sum(next_seq), 0) || ' slots committed.' from streams";

fn fresh_folder(data_dir: &Path, seed: u64) -> Result<PathBuf> {
    let unusable = || format!("cannot use {}", data_dir.display());
    std::fs::create_dir_all(data_dir).with_context(unusable)?;
    let data_dir = std::fs::canonicalize(data_dir).with_context(unusable)?;
    for attempt in 0.. {
        let folder = data_dir.join(format!("seed-{seed}-{attempt}"));
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.with_context(unusable).map(|()| folder),
        }
    }
    unreachable!("some number is free")
}

fn stack_config(config: &Config, seed: u64, folder: &Path) -> Result<StackConfig> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let beside = own.parent().unwrap_or(Path::new(".")).to_owned();
    let mut stack = StackConfig::for_tests(config.agents, config.binaries.clone().unwrap_or(beside))?;
    stack.data_dir = folder.join("stack");
    stack.seed = seed;
    stack.commit_path = Some(config.commit_path.clone());
    let graces = [
        ("YAKS_SWEEP_GRACE_MS", SWEEP_GRACE_MS),
        ("YAKS_ORPHAN_GRACE_MS", ORPHAN_GRACE_MS),
    ];
    let graces = graces.map(|(name, value)| (name.to_owned(), value.to_owned()));
    stack.function_env.extend(graces);
    Ok(stack)
}

async fn begin(config: &Config, seed: u64, stack: &Stack, ledgers: PathBuf) -> Result<(Vec<Load>, Producing, Tails)> {
    let (bootstrap, rate, producers) = (stack.bootstrap(), config.rate, config.producers);
    let begun = tokio::task::spawn_blocking(move || {
        let plan = LoadPlan {
            brokers: bootstrap.split(',').map(str::to_owned).collect(),
            rate,
            producers,
            seed,
            ledgers: &ledgers,
        };
        let loads = load::open(&plan)?;
        let producing = Producing::start(&loads)?;
        let tails = Tails::start(&loads, &bootstrap)?;
        anyhow::Ok((loads, producing, tails))
    });
    begun.await?
}

/// Faults beside the load, from its first ack on, and a while without.
async fn trouble(config: &Config, seed: u64, scene: &Scene<'_>) {
    tokio::time::sleep(WARM_UP).await;
    tracks::run(scene, seed).await;
    drain::heal(scene.stack, scene.diary).await;
    let before = so_far(scene.loads);
    tokio::time::sleep(COOL_DOWN).await;
    let after = so_far(scene.loads);
    if after.acked == before.acked && after.in_flight() > 0 {
        scene.diary.violation(format!(
            "{} s after the last fault nothing is acked",
            COOL_DOWN.as_secs()
        ));
    }
    scene
        .diary
        .note(format!("{} minutes are over: {after:?}", config.minutes));
}

async fn stop(stack: Arc<Stack>, diary: &Diary) {
    let Ok(stack) = Arc::try_unwrap(stack) else { return };
    stack
        .stop(&|part, how| {
            if part.starts_with("agent") && !how.contains("exit status 0") {
                diary.violation(format!("{part} was asked to stop: {how}"));
            }
        })
        .await;
}

/// What passed needs no data.
fn forget(folder: &Path) {
    for part in ["stack", "oracle"] {
        if let Err(error) = std::fs::remove_dir_all(folder.join(part)) {
            tracing::warn!(%error, folder = %folder.display(), part, "cannot be removed");
        }
    }
}
