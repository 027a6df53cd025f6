//! S3 events that come twice, late, out of order, or not at all.

use std::time::Duration;

use oracle::Acks;

use crate::kafka::{at_offsets, values};
use crate::running::{Running, agent_env};

#[test]
fn events_that_come_twice_and_reversed_change_nothing() {
    let stack = Running::start(1, |_| ());
    stack.faults().set_duplicate(true);
    stack.faults().set_reverse(true);
    stack.faults().set_delay(Duration::from_millis(300));
    let report = stack.oracle(|config| {
        config.producers = 10;
        config.idempotent = true;
    });
    assert!(report.passed(), "{report}");
    assert_eq!(
        (report.totals.failed, report.totals.acked_without_offset),
        (0, 0),
        "{report}"
    );
}

#[test]
fn without_events_the_agent_commits_for_itself() {
    let stack = Running::start(1, |config| agent_env(config, "YAKS_COMMIT_STALL_MS", "500"));
    stack.faults().set_drop(true);
    let report = stack.oracle(|config| config.producers = 10);
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.failed, 0, "{report}");
}

#[test]
fn held_events_hold_nothing_but_the_offsets_back() {
    let stack = Running::start(1, |config| agent_env(config, "YAKS_COMMIT_STALL_MS", "0"));
    let kafka = stack.kafka();
    let topic = kafka.create_topic("held", 1);
    stack.hold_events(true);
    let mut all = Vec::new();
    for _ in 0..20 {
        let values = values(10);
        kafka.produce_all(&topic, 0, &values, &[("acks", "1")]);
        all.extend(values);
    }
    assert_eq!(kafka.watermarks(&topic, 0), (0, 0));
    stack.faults().set_reverse(true);
    stack.hold_events(false);
    assert_eq!(kafka.read(&topic, 0, 0, 200), at_offsets(0, &all));
}

#[test]
fn acks_1_under_duplicated_events_keeps_every_promise() {
    let stack = Running::start(1, |_| ());
    stack.faults().set_duplicate(true);
    let report = stack.oracle(|config| {
        config.producers = 10;
        config.acks = Acks::One;
    });
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.extra_copies, 0, "{report}");
}
