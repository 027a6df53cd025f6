//! Between the PUT and the commit: what is acked, and what can be read.

use std::time::Duration;

use dev_stack::s3::Operation;
use rdkafka::error::RDKafkaErrorCode;
use rustix::process::Signal;

use crate::kafka::{Delivery, PATIENCE, at_offsets, read_from, values};
use crate::running::{Running, agent_env};

/// `RD_KAFKA_OFFSET_INVALID`: no offset, and neither "end", "beginning" nor "stored", as the numbers between it and zero are.
const LIBRDKAFKA_INVALID: i64 = -1001;

#[test]
fn acks_1_is_acked_before_the_commit_and_acks_all_is_not() {
    let stack = Running::start(1, |config| agent_env(config, "YAKS_COMMIT_STALL_MS", "0"));
    let kafka = stack.kafka();
    let topic = kafka.create_topic("uncommitted", 1);
    stack.stop_function();

    let acked = values(100);
    let deliveries = kafka.produce(&topic, 0, &acked, &[("acks", "1")]);
    let shows_no_offset = |delivery: &Delivery| matches!(delivery, Ok(offset) if *offset <= LIBRDKAFKA_INVALID);
    assert!(
        deliveries.iter().all(shows_no_offset),
        "there are none yet: {deliveries:?}"
    );
    let unread = [b"nobody may read this yet".to_vec()];
    let short: [(&str, &str); 2] = [("acks", "all"), ("message.timeout.ms", "3000")];
    assert_eq!(
        kafka.produce(&topic, 0, &unread, &short),
        [Err(RDKafkaErrorCode::MessageTimedOut)]
    );
    assert_eq!(kafka.watermarks(&topic, 0), (0, 0));
    let consumer = kafka.consumer_at(&topic, 0, 0, &[]);
    assert_eq!(read_from(&consumer, 1, Duration::from_secs(1)), []);

    stack.start_function();
    assert_eq!(read_from(&consumer, 100, PATIENCE), at_offsets(0, &acked));
    assert_eq!(
        read_from(&consumer, 1, PATIENCE),
        at_offsets(100, &unread),
        "it was never acked and it is there"
    );
}

#[test]
fn the_age_of_what_has_no_offsets_yet_is_shown_until_it_has_them() {
    let own = r#"yaks_unsequenced_object_age_seconds{of="own"}"#;
    let stack = Running::start(1, |config| agent_env(config, "YAKS_COMMIT_STALL_MS", "0"));
    let kafka = stack.kafka();
    let topic = kafka.create_topic("late", 1);
    stack.stop_function();
    let acked = kafka.produce(&topic, 0, &values(1), &[("acks", "1")]);
    assert!(acked.iter().all(Result::is_ok), "{acked:?}");
    stack.wait_for_metric(0, own, |age| age > 1.0);
    stack.start_function();
    stack.wait_for_metric(0, own, |age| age == 0.0);
}

#[test]
fn while_postgres_hangs_acks_1_goes_on() {
    let stack = Running::start(1, |_| ());
    let kafka = stack.kafka();
    let topic = kafka.create_topic("no-postgres", 1);
    let values = values(200);
    kafka.produce_all(&topic, 0, &values[..100], &[]);

    stack.signal_postgres(Signal::STOP);
    let acked = kafka.produce(&topic, 0, &values[100..], &[("acks", "1")]);
    stack.signal_postgres(Signal::CONT);
    assert!(acked.iter().all(Result::is_ok), "{acked:?}");
    assert_eq!(kafka.read(&topic, 0, 0, 200), at_offsets(0, &values));
}

#[test]
fn every_commit_path_keeps_every_promise() {
    for path in ["event", "invoke", "inline"] {
        let stack = Running::start(1, |config| config.commit_path = Some(path.to_owned()));
        let report = stack.oracle(|config| {
            config.producers = 10;
            config.idempotent = true;
        });
        assert!(report.passed(), "{path}: {report}");
        assert_eq!(
            (report.totals.failed, report.totals.acked_without_offset),
            (0, 0),
            "{path}: {report}"
        );
    }
}

/// Where agents commit first, an event comes when its slot is committed, and costs no GET.
#[test]
fn with_inline_an_event_reads_no_object_but_of_an_agent_that_died() {
    let stack = Running::start(1, |config| config.commit_path = Some("inline".to_owned()));
    let kafka = stack.kafka();
    let topic = kafka.create_topic("fallback", 1);
    let mut all = values(40);
    for values in all.chunks(2) {
        kafka.produce_all(&topic, 0, values, &[]);
    }
    stack.wait_until_no_event_waits();
    let gets = || stack.stack().s3().stats().requests(Operation::GetObject);
    assert_eq!(gets(), 0, "of {} events", stack.stack().events().sent());

    stack.signal_postgres(Signal::STOP);
    let last = values(1);
    let acked = kafka.produce(&topic, 0, &last, &[("acks", "1")]);
    assert!(acked.iter().all(Result::is_ok), "{acked:?}");
    stack.kill_agent(0);
    stack.signal_postgres(Signal::CONT);
    stack.wait_until_no_event_waits();
    assert!(gets() > 0, "its event read the object");
    stack.start_agent(0);
    all.extend(last);
    assert_eq!(kafka.read(&topic, 0, 0, all.len()), at_offsets(0, &all));
}
