//! The load that only reads: what is there, to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::reader::{Reader, Share};
use super::run_clock::RunClock;
use super::{LOOK, client};
use crate::config::{ConsumeFlags, TargetFlags};
use crate::report::{Count, Flow, Phase, Report};

/// Runs it to its end.
pub fn consume(target: &TargetFlags, flags: &ConsumeFlags) -> Result<Report> {
    let topic = &flags.topic;
    let partitions = client::partitions(target, topic)?;
    let partitions = partitions.with_context(|| format!("topic {topic} is not there"))?;
    let marks = client::watermarks(target, topic, partitions)?;
    ensure!(marks.iter().any(|(start, end)| start < end), "topic {topic} is empty");
    let starts: Vec<i64> = marks.into_iter().map(|(start, _)| start).collect();
    let clock = Arc::new(RunClock::start(0, 0, None));
    let probes = target.probes();
    let begin = || Ok::<_, anyhow::Error>((probes.begin()?, clock.consumed.get()));
    // Without a warm-up the first record counts too, and clients fetch as soon as they are there.
    let first = flags.warm_up.is_zero().then(begin).transpose()?;
    let mut readers = Vec::new();
    for group in 0..flags.groups {
        for consumer in 0..flags.consumers.min(partitions.unsigned_abs()) {
            let share = Share::of(topic, &starts, consumer, flags.consumers);
            readers.push(Reader::new(target, &format!("yaks-bench-{group}"), share, &clock)?);
        }
    }
    let (before, consumed_before) = thread::scope(|scope| {
        let start = |reader: Reader| scope.spawn(|| reader.scan(false));
        let reading: Vec<_> = readers.into_iter().map(start).collect();
        let done = || reading.iter().all(|thread| thread.is_finished());
        let began = Instant::now();
        while began.elapsed() < flags.warm_up && !done() {
            thread::sleep(LOOK);
        }
        let begun = first.map_or_else(begin, Ok);
        let enough = |before: Count| {
            let since = |bytes| clock.consumed.get().bytes - before.bytes >= bytes;
            flags.bytes.is_some_and(since)
        };
        while begun.as_ref().is_ok_and(|(_, before)| !done() && !enough(*before)) {
            thread::sleep(LOOK);
        }
        clock.stop_reading();
        for thread in reading {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        begun
    })?;
    let after = probes.read()?;
    let time = before.until(&after);
    let consumed = Flow::between(consumed_before, clock.consumed.get(), time);
    ensure!(consumed.records > 0, "nothing was read: {:?}", clock.errors());
    Ok(Report {
        load: "consume".to_owned(),
        brokers: target.brokers.clone(),
        topic: topic.clone(),
        phases: vec![Phase {
            name: "measured".to_owned(),
            seconds: time.as_secs_f64(),
            costs: before.costs(&after, consumed.bytes),
            produced: None,
            consumed: Some(consumed),
            ack: None,
            end_to_end: None,
            requests_in_flight: None,
        }],
        failed: clock.failed.load(Ordering::Relaxed),
        errors: clock.errors(),
    })
}
