//! Agents that are killed, and stacks that are started again.

use std::time::Duration;

use oracle::Acks;

use crate::kafka::{at_offsets, values};
use crate::running::Running;

/// Times the agents are killed while producers write.
const KILLS: usize = 3;

fn survives_kills(agents: u16, change: impl FnOnce(&mut oracle::OracleConfig)) {
    let stack = Running::start(agents, |_| ());
    let report = stack.oracle_during(
        |config| {
            config.producers = 10;
            config.records = 300;
            // Long enough to be under way at every kill.
            config.rate = 25;
            change(config);
        },
        || {
            for kill in 0..KILLS {
                std::thread::sleep(Duration::from_secs(2));
                let agent = kill % usize::from(agents);
                stack.kill_agent(agent);
                stack.start_agent(agent);
            }
        },
    );
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.failed, 0, "{report}");
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
