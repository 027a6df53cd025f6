//! The load generator tells what the stack itself counts.

use std::time::Duration;

use bench::config::{ConsumeFlags, ProduceFlags, TargetFlags};
use bench::function::{self, Package};
use bench::load::{self, Plan};
use bench::units::Rate;

use crate::running::{Running, shared};

fn target(stack: &Running) -> TargetFlags {
    let agent = stack.agent_pid(0);
    TargetFlags {
        brokers: stack.stack().bootstrap(),
        pid: vec![format!("agent={agent}").parse().unwrap()],
        s3_stats: Some(format!("http://127.0.0.1:{}/metrics", stack.stack().config().dev_port)),
        postgres: Some(stack.stack().postgres_url()),
        ..TargetFlags::default()
    }
}

#[test]
fn every_record_of_a_load_is_acked_read_and_accounted_for() {
    let stack = shared();
    let target = target(stack);
    let topic = format!("bench-{}", uuid::Uuid::now_v7().simple());
    let report = load::produce(&Plan {
        name: "e2e".to_owned(),
        target: target.clone(),
        produce: ProduceFlags {
            topic: Some(topic.clone()),
            partitions: 3,
            batch_size: Some(10 << 10),
            rate: Some(Rate::Records(500.0)),
            producers: 2,
            warm_up: Duration::ZERO,
            bytes: Some(400 << 10),
            ..ProduceFlags::default()
        },
        tail_groups: 2,
        lagging: None,
    })
    .unwrap();
    assert_eq!(report.failed, 0, "{report}");
    let phase = &report.phases[0];
    assert_eq!(phase.produced.map(|flow| flow.records), Some(400), "{report}");
    assert_eq!(phase.ack.as_ref().map(|told| told.count), Some(400), "{report}");
    assert_eq!(phase.end_to_end.as_ref().map(|told| told.count), Some(800), "{report}");
    assert!(phase.costs.s3.as_ref().unwrap()["PUT"].bytes > 400 << 10, "{report}");
    assert!(
        phase.costs.postgres.is_some() && phase.costs.processes["agent"].rss_mib > 0.0,
        "{report}"
    );

    let scan = ConsumeFlags {
        topic,
        groups: 2,
        consumers: 2,
        bytes: None,
        warm_up: Duration::ZERO,
    };
    let report = load::consume(&target, &scan).unwrap();
    assert_eq!(
        report.phases[0].consumed.map(|flow| flow.records),
        Some(800),
        "{report}"
    );

    let time = Duration::from_millis(1500);
    let busy = load::crowd::busy(&target, &scan.topic, 3, 20, time).unwrap();
    assert_eq!(busy.failed, 0, "{busy}");
    let slow = load::crowd::slow(&target, &scan.topic, 3, 20, time).unwrap();
    assert!(slow.errors.is_empty(), "{slow}");
}

#[test]
fn silent_connections_are_counted_and_kept() {
    let target = target(shared());
    let report = load::idle::idle(&target, 50, Duration::from_millis(100)).unwrap();
    assert_eq!(report.failed, 0, "{report}");
    let missing = ConsumeFlags {
        topic: "nobody-made-it".to_owned(),
        groups: 1,
        consumers: 1,
        bytes: None,
        warm_up: Duration::ZERO,
    };
    let said = load::consume(&target, &missing).unwrap_err().to_string();
    assert_eq!(said, "topic nobody-made-it is not there");
}

/// What the function says it committed is looked for in Postgres; an error if it is not there.
#[test]
fn the_function_is_measured_by_itself() {
    let stack = Running::start(1, |_| ());
    stack.stop_function();
    let directory = tempfile::tempdir().unwrap();
    let amount = function::Amount {
        starts: 2,
        warm_up: 1,
        slots: 4,
    };
    let config = stack.stack().config();
    let handled = function::measure(
        &Package::none(&config.binaries),
        &stack.stack().s3_endpoint(),
        directory.path(),
        amount,
    )
    .unwrap();
    assert_eq!((handled.start.count, handled.invocation.count), (2, 4));
    assert!(handled.zip_bytes.is_none() && handled.start.p50_ms > 0.0);
}
