//! Agents that are told to stop: under load, one after the other, and with something away.

use std::time::{Duration, Instant};

use dev_stack::Switch;
use oracle::{Acks, Oracle, OracleConfig, Ordering};

use crate::kafka::{PATIENCE, at_offsets, values};
use crate::running::{Running, agent_env};

/// Stops and starts both agents in turn while producers write that librdkafka's defaults keep from seeing it.
fn rolling_restart(change: impl FnOnce(&mut OracleConfig)) {
    const PRODUCERS: u32 = 10;
    const RECORDS: u64 = 600;
    let stack = Running::start(2, |_| ());
    let report = stack.oracle_during(
        |config| {
            config.producers = PRODUCERS;
            config.records = RECORDS;
            config.rate = 50;
            // librdkafka's default: whatever fits.
            config.max_in_flight = Some(1_000_000);
            change(config);
        },
        |oracle| {
            for (agent, share) in [(0, 2), (1, 5), (0, 7)] {
                wait_until_acked(oracle, u64::from(PRODUCERS) * RECORDS * share / 10);
                let asked = Instant::now();
                stack.stop_agent(agent);
                assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
                stack.start_agent(agent);
            }
        },
    );
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.failed, 0, "{report}");
}

fn wait_until_acked(oracle: &Oracle, records: u64) {
    let deadline = Instant::now() + PATIENCE;
    while oracle.so_far().acked < records {
        assert!(Instant::now() < deadline, "the load stands at {:?}", oracle.so_far());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_rolling_restart_is_not_seen_by_producers_with_acks_all() {
    rolling_restart(|config| {
        config.acks = Acks::All;
        config.ordering = Ordering::Acked;
    });
}

#[test]
fn a_rolling_restart_is_not_seen_by_producers_with_acks_1() {
    rolling_restart(|config| {
        config.acks = Acks::One;
        // One that moves between two acks may see them swapped: that much acks=1 leaves open.
        config.ordering = Ordering::Unjudged;
    });
}

#[test]
fn an_agent_that_stops_while_postgres_is_away_ends_in_time_and_leaves_what_it_acked() {
    let stack = Running::start(1, |config| agent_env(config, "YAKS_SHUTDOWN_MS", "8000"));
    let kafka = stack.kafka();
    let topic = kafka.create_topic("stop-without-postgres", 1);
    let values = values(200);
    kafka.produce_all(&topic, 0, &values[..100], &[]);
    stack.switch_postgres(Switch::Kill);
    let acked = kafka.produce(&topic, 0, &values[100..], &[("acks", "1")]);
    assert!(acked.iter().all(Result::is_ok), "{acked:?}");

    let asked = Instant::now();
    let status = stack.stop_agent(0);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(status, "exit status 0");
    stack.wait_for_log("the stream's end is left to the sweep");
    stack.switch_postgres(Switch::Start);
    stack.start_agent(0);
    assert_eq!(stack.kafka().read(&topic, 0, 0, 200), at_offsets(0, &values));
}
