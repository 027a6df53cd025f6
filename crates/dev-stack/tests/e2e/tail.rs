//! Sidecars of one zone: who reads at the tail is served from what the agents have pushed, by whichever sidecar owns it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dev_stack::s3::Operation;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

use crate::kafka::{Kafka, PATIENCE, values};
use crate::running::Running;

const GROUPS: usize = 10;
/// So many that each agent is all but sure to lead some.
const PARTITIONS: i32 = 12;

/// A consumer group of one member, and how many records it was given.
struct Group {
    consumer: BaseConsumer,
    next: BTreeMap<i32, i64>,
}

impl Group {
    fn join(kafka: &Kafka, topic: &str, n: usize) -> Self {
        let group = format!("tail-{n}");
        let settings = [("group.id", group.as_str()), ("auto.offset.reset", "earliest")];
        let consumer = kafka.consumer_with(&settings);
        consumer.subscribe(&[topic]).unwrap();
        let next = BTreeMap::new();
        Self { consumer, next }
    }

    /// Takes what there is. No record may be missing or come twice, and no error may reach the client.
    fn poll(&mut self) {
        while let Some(message) = self.consumer.poll(Duration::from_millis(1)) {
            let message = message.unwrap();
            let next = self.next.entry(message.partition()).or_default();
            assert_eq!(message.offset(), *next);
            *next += 1;
        }
    }

    fn records(&self) -> i64 {
        self.next.values().sum()
    }
}

/// Writes `rounds` times to every partition; after each time all groups read all of it.
fn follow(kafka: &Kafka, topic: &str, groups: &mut [Group], rounds: usize) {
    let values = values(100);
    for _ in 0..rounds {
        let before = groups[0].records();
        for partition in 0..PARTITIONS {
            kafka.produce_all(topic, partition, &values, &[]);
        }
        let written = before + i64::from(PARTITIONS) * values.len() as i64;
        let deadline = Instant::now() + PATIENCE;
        while groups.iter().any(|group| group.records() < written) {
            groups.iter_mut().for_each(Group::poll);
            assert!(Instant::now() < deadline, "a group does not get what was written");
        }
    }
}

#[test]
fn ten_groups_at_the_tail_cost_no_get_and_go_on_without_one_of_the_two_sidecars() {
    let stack = Running::start(2, |config| config.commit_path = Some("inline".to_owned()));
    // The function would read footers, to find that the agents have committed.
    stack.hold_events(true);
    let kafka = stack.kafka();
    let topic = kafka.create_topic("tail", PARTITIONS);
    for agent in 0..2 {
        stack.wait_for_metric(agent, "yaks_cache_ring_members", |members| members == 2.0);
    }
    let gets = || stack.stack().s3().stats().requests(Operation::GetObject);
    let before = gets();
    let mut groups: Vec<Group> = (0..GROUPS).map(|n| Group::join(&kafka, &topic, n)).collect();
    follow(&kafka, &topic, &mut groups, 7);
    assert_eq!(gets() - before, 0);
    for agent in 0..2 {
        assert!(stack.metric_of_agent(agent, "yaks_fetch_bytes_total") > 0.0);
        let pushed = stack.metric(agent, r#"yaks_cache_pushes_total{result="ok"}"#);
        assert!(pushed.is_some_and(|pushed| pushed > 0.0), "agent {agent}: {pushed:?}");
    }

    stack.kill_sidecar(1);
    follow(&kafka, &topic, &mut groups, 2);
    assert!(gets() > before, "what the dead one owns comes from S3");
}
