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
use crate::report::{Flow, Phase, Report};

/// Runs it to its end.
pub fn consume(target: &TargetFlags, flags: &ConsumeFlags) -> Result<Report> {
    let topic = &flags.topic;
    let partitions = client::partitions(target, topic)?;
    let partitions = partitions.with_context(|| format!("topic {topic} is not there"))?;
    let marks = client::watermarks(target, topic, partitions)?;
    ensure!(marks.iter().any(|(start, end)| start < end), "topic {topic} is empty");
    let starts: Vec<i64> = marks.into_iter().map(|(start, _)| start).collect();
    let clock = Arc::new(RunClock::start(0, None));
    let mut readers = Vec::new();
    for group in 0..flags.groups {
        for consumer in 0..flags.consumers.min(partitions.unsigned_abs()) {
            let share = Share::of(topic, &starts, consumer, flags.consumers);
            readers.push(Reader::new(target, &format!("yaks-bench-{group}"), share, &clock)?);
        }
    }
    let probes = target.probes();
    let (before, consumed_before) = thread::scope(|scope| {
        let reading: Vec<_> = readers
            .into_iter()
            .map(|reader| scope.spawn(|| reader.scan(false)))
            .collect();
        let done = || reading.iter().all(|thread| thread.is_finished());
        let began = Instant::now();
        while began.elapsed() < flags.warm_up && !done() {
            thread::sleep(LOOK);
        }
        let before = probes.begin();
        let consumed_before = clock.consumed.get();
        let enough = || {
            flags
                .bytes
                .is_some_and(|bytes| clock.consumed.get().1 - consumed_before.1 >= bytes)
        };
        while before.is_ok() && !done() && !enough() {
            thread::sleep(LOOK);
        }
        clock.stop_reading();
        for thread in reading {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok::<_, anyhow::Error>((before?, consumed_before))
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
