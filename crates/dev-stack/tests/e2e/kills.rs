//! Parts that are killed, stopped or frozen, and stacks that are started again.

use std::time::{Duration, Instant};

use oracle::{Acks, Oracle, OracleConfig};
use rustix::process::Signal;

use crate::kafka::{PATIENCE, at_offsets, values};
use crate::running::Running;

const PRODUCERS: u32 = 10;
const RECORDS: u64 = 300;
/// Shares of all records at whose ack an agent is killed.
const KILLS: [f64; 3] = [0.2, 0.45, 0.7];

/// Loads `agents` agents, and strikes one after the other where the load stands at [`KILLS`].
fn survives(stack: &Running, agents: u16, change: impl FnOnce(&mut OracleConfig), strike: impl Fn(usize)) {
    let report = stack.oracle_during(
        |config| {
            config.producers = PRODUCERS;
            config.records = RECORDS;
            // Slow enough that there is always something under way.
            config.rate = 50;
            change(config);
        },
        |oracle| {
            for (agent, share) in (0..usize::from(agents)).cycle().zip(KILLS) {
                wait_until_acked(oracle, (share * (u64::from(PRODUCERS) * RECORDS) as f64) as u64);
                strike(agent);
            }
        },
    );
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.failed, 0, "{report}");
}

fn survives_kills(agents: u16, change: impl FnOnce(&mut OracleConfig)) {
    let stack = Running::start(agents, |_| ());
    survives(&stack, agents, change, |agent| {
        stack.kill_agent(agent);
        stack.start_agent(agent);
    });
}

/// Waits for the load to be where the test wants to strike.
fn wait_until_acked(oracle: &Oracle, records: u64) {
    let deadline = Instant::now() + PATIENCE;
    while oracle.so_far().acked < records {
        assert!(Instant::now() < deadline, "the load stands at {:?}", oracle.so_far());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn what_was_acked_survives_kill_9_under_load() {
    survives_kills(1, |_| ());
}

#[test]
fn what_was_acked_with_acks_1_survives_kill_9_under_load() {
    survives_kills(1, |config| config.acks = Acks::One);
}

#[test]
fn idempotent_producers_stay_exact_over_kill_9_of_two_agents() {
    survives_kills(2, |config| config.idempotent = true);
}

#[test]
fn an_agent_that_is_stopped_in_order_leaves_nothing_behind() {
    let stack = Running::start(2, |_| ());
    let idempotent = |config: &mut OracleConfig| config.idempotent = true;
    survives(&stack, 2, idempotent, |agent| {
        stack.stop_agent(agent);
        stack.start_agent(agent);
    });
}

#[test]
fn an_agent_that_was_frozen_beyond_its_streams_end_sends_the_rest_again() {
    let stack = Running::start(1, |config| {
        let grace = ("YAKS_SWEEP_GRACE_MS".to_owned(), "6000".to_owned());
        config.function_env.push(grace);
    });
    let report = stack.oracle_during(
        |config| {
            config.producers = PRODUCERS;
            config.records = RECORDS;
            config.rate = 50;
            config.idempotent = true;
        },
        |oracle| {
            wait_until_acked(oracle, 500);
            stack.signal_agent(0, Signal::STOP);
            stack.wait_for_log("ending a dead stream");
            stack.signal_agent(0, Signal::CONT);
            stack.wait_for_log("slot lost, leaving the stream");
        },
    );
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.failed, 0, "{report}");
}

#[test]
fn without_its_sidecar_an_agent_reads_from_s3() {
    let stack = Running::start(1, |_| ());
    let kafka = stack.kafka();
    let topic = kafka.create_topic("no-sidecar", 1);
    let values = values(500);
    kafka.produce_all(&topic, 0, &values[..250], &[]);
    stack.kill_sidecar(0);
    kafka.produce_all(&topic, 0, &values[250..], &[]);
    assert_eq!(kafka.read(&topic, 0, 0, 500), at_offsets(0, &values));
}

#[test]
fn data_survive_a_restart_of_everything() {
    let data_dir = tempfile::tempdir().unwrap();
    let values = values(1000);
    let topic = {
        let stack = Running::start_in(data_dir.path(), 1, |_| ());
        let kafka = stack.kafka();
        let topic = kafka.create_topic("kept", 1);
        kafka.produce_all(&topic, 0, &values, &[]);
        topic
    };
    let stack = Running::start_in(data_dir.path(), 1, |_| ());
    assert_eq!(stack.kafka().read(&topic, 0, 0, 1000), at_offsets(0, &values));
    let more = stack.kafka().produce_all(&topic, 0, &values[..10], &[]);
    assert_eq!(more, (1000..1010).collect::<Vec<_>>());
}
