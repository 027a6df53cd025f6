//! Loads that produce, with or without readers: `produce`, `e2e`, `fanout`, `mixed`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use types::{Entropy as _, SystemEntropy};

use super::producer::{Heard, Producer};
use super::reader::{Reader, Share};
use super::run_clock::RunClock;
use super::tally::{PHASES, Tallies};
use super::{LOOK, client};
use crate::config::{ProduceFlags, TargetFlags};
use crate::probe::{Probes, Reading};
use crate::report::{Count, Flow, Phase, Report};

/// How long after the last ack its record may take to reach every reader.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The part that is always there.
const ALONE: &str = "measured";

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name in the report.
    pub name: String,
    /// Which brokers, and what is looked at meanwhile.
    pub target: TargetFlags,
    /// What is produced.
    pub produce: ProduceFlags,
    /// Groups that follow the end, each reading everything.
    pub tail_groups: u32,
    /// Reads old data while the second half is measured.
    pub lagging: Option<Lagging>,
}

/// A reader far behind, which begins anew when it has caught up.
#[derive(Clone, Debug)]
pub struct Lagging {
    /// What it reads.
    pub topic: String,
}

/// A part of the run.
struct Measured {
    name: &'static str,
    before: Reading,
    acked_before: Count,
    consumed_before: Count,
    end: Option<End>,
}

/// What there is at its end.
struct End {
    after: Reading,
    acked: Count,
    consumed: Count,
}

/// Readers at work, and how many records each group has seen.
struct Tails<'scope> {
    readers: Vec<ScopedJoinHandle<'scope, Tallies>>,
    arrived: Vec<Arc<AtomicU64>>,
}

/// Runs it to its end.
pub fn produce(plan: &Plan) -> Result<Report> {
    plan.produce.validate()?;
    ensure!(
        plan.lagging.is_none() || plan.produce.bytes.is_none(),
        "a reader that comes later needs a duration, not --bytes"
    );
    let run = SystemEntropy.next_u64();
    let new_topic = || format!("yaks-bench-{:08x}", run >> 32);
    let topic = plan.produce.topic.clone().unwrap_or_else(new_topic);
    let partitions = client::ensure_topic(&plan.target, &topic, plan.produce.partitions)?;
    let allowance = plan.produce.bytes.map(|bytes| bytes.div_ceil(plan.produce.record_size));
    let clock = Arc::new(RunClock::start(run, plan.produce.producers, allowance));
    let producers: Result<Vec<Producer>> = (0..plan.produce.producers)
        .map(|index| Producer::new(&plan.target, &plan.produce, (&topic, partitions), index, &clock))
        .collect();
    let producers = producers?;
    thread::scope(|scope| {
        let ran = run_in(scope, plan, (&topic, partitions), producers, &clock);
        // However it ended: the scope waits for its threads.
        clock.stop_sending();
        clock.stop_reading();
        ran
    })
}

fn run_in<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    plan: &Plan,
    (topic, partitions): (&str, i32),
    producers: Vec<Producer>,
    clock: &Arc<RunClock>,
) -> Result<Report> {
    let probes = plan.target.probes();
    let tails = Tails::start(scope, plan, topic, partitions, clock)?;
    // Without a warm-up the first record counts too.
    let first = plan.produce.warm_up.is_zero().then(|| begin(ALONE, &probes, clock));
    let first = first.transpose()?;
    let start = |producer: Producer| scope.spawn(|| producer.run());
    let producing: Vec<_> = producers.into_iter().map(start).collect();
    let measured = measure(scope, plan, clock, first);
    clock.stop_sending();
    let heard = producing.into_iter().map(joined).fold(Heard::default(), Heard::and);
    let measured = end(measured?, &probes, clock)?;
    ensure!(
        clock.acked.get().records > 0,
        "no record was acked: {:?}",
        clock.errors()
    );
    tails.wait(clock);
    clock.stop_reading();
    Ok(report(plan, topic, clock, measured, &heard, &tails.join()))
}

impl<'scope> Tails<'scope> {
    fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &Plan,
        topic: &str,
        partitions: i32,
        clock: &Arc<RunClock>,
    ) -> Result<Self> {
        let (mut readers, mut arrived) = (Vec::new(), Vec::new());
        if plan.tail_groups > 0 {
            let marks = client::watermarks(&plan.target, topic, partitions)?;
            let ends: Vec<i64> = marks.into_iter().map(|(_, end)| end).collect();
            for group in 0..plan.tail_groups {
                let count = Arc::new(AtomicU64::new(0));
                arrived.push(Arc::clone(&count));
                let share = Share::of(topic, &ends, 0, 1);
                let reader = Reader::new(&plan.target, &format!("yaks-bench-{group}"), share, clock)?;
                readers.push(scope.spawn(move || reader.follow(&count)));
            }
        }
        Ok(Self { readers, arrived })
    }

    /// Until every group has seen what was acked, or it takes too long: then what is missing has failed.
    fn wait(&self, clock: &RunClock) {
        let acked = clock.acked.get().records;
        let missing = || {
            let of_group = |count: &Arc<AtomicU64>| acked.saturating_sub(count.load(Ordering::Relaxed));
            self.arrived.iter().map(of_group).sum::<u64>()
        };
        let deadline = Instant::now() + ARRIVAL_TIMEOUT;
        while missing() > 0 && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        if missing() > 0 {
            clock.error("acked, and not read by every group", missing());
        }
    }

    fn join(self) -> Tallies {
        let mut sum = Tallies::default();
        self.readers
            .into_iter()
            .map(joined)
            .for_each(|tallies| sum.add(&tallies));
        sum
    }
}

impl Heard {
    fn and(mut self, other: Self) -> Self {
        self.acks.add(&other.acks);
        for (sum, other) in self.in_flight.iter_mut().zip(other.in_flight) {
            // Of all clients together, at as many times as one of them was asked.
            *sum = (sum.0 + other.0, sum.1.max(other.1));
        }
        self
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The warm-up, and then the measured parts; the last one is still open, for its acks are not all there.
fn measure<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    plan: &Plan,
    clock: &Arc<RunClock>,
    first: Option<Measured>,
) -> Result<Vec<Measured>> {
    let probes = plan.target.probes();
    wait(plan.produce.warm_up, clock);
    let first = first.map_or_else(|| begin(ALONE, &probes, clock), Ok)?;
    let mut measured = vec![first];
    wait(length(plan), clock);
    if let Some(lagging) = &plan.lagging {
        measured = end(measured, &probes, clock)?;
        let reader = lagging_reader(plan, lagging, clock)?;
        scope.spawn(move || reader.scan(true));
        measured.push(begin("with a reader of old data", &probes, clock)?);
        wait(length(plan), clock);
    }
    Ok(measured)
}

/// With a number of bytes it ends when they are sent.
fn length(plan: &Plan) -> Duration {
    plan.produce.bytes.map_or(plan.produce.duration, |_| Duration::MAX)
}

fn wait(time: Duration, clock: &RunClock) {
    let began = Instant::now();
    while began.elapsed() < time && clock.sends() && !clock.all_left() {
        thread::sleep(LOOK.min(time));
    }
}

fn lagging_reader(plan: &Plan, lagging: &Lagging, clock: &Arc<RunClock>) -> Result<Reader> {
    let topic = &lagging.topic;
    let partitions = client::partitions(&plan.target, topic)?;
    let partitions = partitions.with_context(|| format!("topic {topic} is not there"))?;
    let marks = client::watermarks(&plan.target, topic, partitions)?;
    let starts: Vec<i64> = marks.into_iter().map(|(start, _)| start).collect();
    Reader::new(
        &plan.target,
        "yaks-bench-lagging",
        Share::of(topic, &starts, 0, 1),
        clock,
    )
}

fn begin(name: &'static str, probes: &Probes, clock: &RunClock) -> Result<Measured> {
    let before = probes.begin()?;
    let measured = Measured {
        name,
        before,
        acked_before: clock.acked.get(),
        consumed_before: clock.consumed.get(),
        end: None,
    };
    clock.enter(clock.phase() + 1);
    Ok(measured)
}

fn end(mut measured: Vec<Measured>, probes: &Probes, clock: &RunClock) -> Result<Vec<Measured>> {
    if let Some(last) = measured.last_mut() {
        last.end = Some(End {
            acked: clock.acked.get(),
            consumed: clock.consumed.get(),
            after: probes.read()?,
        });
    }
    Ok(measured)
}

fn report(
    plan: &Plan,
    topic: &str,
    clock: &RunClock,
    measured: Vec<Measured>,
    heard: &Heard,
    arrived: &Tallies,
) -> Report {
    let phases = (1..PHASES).zip(measured).filter_map(|(number, part)| {
        let End { after, acked, consumed } = part.end?;
        let time = part.before.until(&after);
        let produced = Flow::between(part.acked_before, acked, time);
        let consumed = Flow::between(part.consumed_before, consumed, time);
        let (in_flight, counted) = heard.in_flight[number];
        Some(Phase {
            name: part.name.to_owned(),
            seconds: time.as_secs_f64(),
            costs: part.before.costs(&after, produced.bytes),
            produced: Some(produced),
            consumed: (plan.tail_groups > 0 || consumed.records > 0).then_some(consumed),
            ack: heard.acks.of(number).summary(),
            end_to_end: arrived.of(number).summary(),
            requests_in_flight: (counted > 0).then(|| in_flight / f64::from(counted)),
        })
    });
    Report {
        load: plan.name.clone(),
        brokers: plan.target.brokers.clone(),
        topic: topic.to_owned(),
        phases: phases.collect(),
        failed: clock.failed.load(Ordering::Relaxed),
        errors: clock.errors(),
    }
}
