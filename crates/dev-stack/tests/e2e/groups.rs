//! Consumer groups through librdkafka: rebalances, commits, and coordinators that go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::Consumer;
use rustix::process::Signal;

use crate::kafka::{Kafka, PATIENCE, Settings, values};
use crate::members::{Ledger, Member, wait_until};
use crate::proxy::Proxy;
use crate::running::{Running, agent_env, shared};

const PARTITIONS: i32 = 6;
const RECORDS: usize = 20;

/// A topic and a group of a test's own.
pub(crate) struct Scene {
    pub(crate) kafka: Kafka,
    ledger: Arc<Ledger>,
    topic: String,
    pub(crate) group: String,
    records: usize,
}

impl Scene {
    pub(crate) fn new(kafka: Kafka) -> Self {
        let topic = kafka.create_topic("group", PARTITIONS);
        Self {
            ledger: Arc::default(),
            group: format!("g-{topic}"),
            topic,
            kafka,
            records: 0,
        }
    }

    fn member(&self, name: &str) -> Member {
        self.member_with(name, &[])
    }

    pub(crate) fn member_with(&self, name: &str, settings: &[(&str, &str)]) -> Member {
        Member::start(&self.kafka, &self.ledger, &self.group, &self.topic, name, settings)
    }

    /// Writes to every partition, and waits until somebody has read all of it.
    pub(crate) fn is_read(&mut self) {
        for partition in 0..PARTITIONS {
            self.kafka.produce_all(&self.topic, partition, &values(RECORDS), &[]);
        }
        self.records += RECORDS * usize::try_from(PARTITIONS).unwrap();
        let read = || self.ledger.read() == self.records;
        wait_until("everything is read", read);
    }

    fn is_settled(&self) {
        let since = Instant::now();
        for partition in 0..PARTITIONS {
            self.kafka.produce_all(&self.topic, partition, &values(1), &[]);
        }
        let settled = || self.ledger.is_settled(PARTITIONS, since);
        wait_until("the group settles", settled);
    }

    pub(crate) fn settles(&mut self) {
        self.is_settled();
        self.records += usize::try_from(PARTITIONS).unwrap();
        self.is_read();
    }

    pub(crate) fn is_sound(&self) {
        assert_eq!(self.ledger.faults(), [] as [String; 0]);
    }
}

#[test]
fn members_that_come_and_go_share_all_partitions_and_go_on_where_others_stopped() {
    let mut scene = Scene::new(shared().kafka());
    let first = scene.member("first");
    scene.settles();
    assert_eq!(first.assigned().len(), 6);
    let second = scene.member("second");
    let third = scene.member("third");
    wait_until("three members share", || {
        [&first, &second, &third]
            .iter()
            .all(|member| member.assigned().len() == 2)
    });
    scene.settles();
    drop(second);
    wait_until("two members share", || {
        [&first, &third].iter().all(|member| member.assigned().len() == 3)
    });
    scene.settles();
    drop((first, third));
    let last = scene.member("last");
    scene.settles();
    drop(last);
    scene.is_sound();
}

#[test]
fn cooperative_members_keep_what_they_need_not_give_up() {
    let mut scene = Scene::new(shared().kafka());
    let cooperative: [(&str, &str); 1] = [("partition.assignment.strategy", "cooperative-sticky")];
    let first = scene.member_with("first", &cooperative);
    scene.settles();
    let before = first.assigned();
    let second = scene.member_with("second", &cooperative);
    wait_until("two members share", || {
        first.assigned().len() == 3 && second.assigned().len() == 3
    });
    assert!(first.assigned().is_subset(&before));
    scene.is_read();
    drop((first, second));
    scene.is_sound();
}

#[test]
fn a_static_member_that_restarts_gets_its_partitions_back_without_a_rebalance() {
    let mut scene = Scene::new(shared().kafka());
    let named = |name: &'static str| [("group.instance.id", name), ("session.timeout.ms", "30000")];
    let stays = scene.member_with("stays", &named("a"));
    let restarts = scene.member_with("restarts", &named("b"));
    wait_until("two members share", || {
        stays.assigned().len() == 3 && restarts.assigned().len() == 3
    });
    scene.settles();
    let (generation, had) = (stays.generation(), restarts.assigned());
    restarts.vanish();
    let back = scene.member_with("restarts", &named("b"));
    wait_until("it has what it had", || back.assigned() == had);
    scene.is_read();
    assert_eq!(stays.generation(), generation, "nobody else was disturbed");
    drop((stays, back));
    scene.is_sound();
}

pub(crate) fn survives(settings: Settings<'_>, strike: impl Fn(&Running, usize), recover: impl Fn(&Running, usize)) {
    let stack = Running::start(2, |_| ());
    let mut scene = Scene::new(stack.kafka());
    let members = ["a", "b", "c"].map(|name| scene.member_with(name, settings));
    scene.settles();
    let struck = stack.coordinator(&scene.group);
    strike(&stack, struck);
    scene.settles();
    assert_ne!(stack.coordinator(&scene.group), struck);
    recover(&stack, struck);
    scene.settles();
    drop(members);
    scene.is_sound();
}

#[test]
fn members_survive_their_coordinator() {
    survives(&[], Running::kill_agent, Running::start_agent);
}

#[test]
fn a_coordinator_that_was_frozen_longer_than_its_lease_changes_nothing_when_it_wakes() {
    survives(
        &[],
        |stack, agent| stack.signal_agent(agent, Signal::STOP),
        |stack, agent| stack.signal_agent(agent, Signal::CONT),
    );
}

#[test]
fn groups_work_behind_one_address() {
    let proxy = Proxy::start();
    let port = proxy.port().to_string();
    let stack = Running::start(3, |config| {
        agent_env(config, "YAKS_ADVERTISED_HOST", "127.0.0.1");
        agent_env(config, "YAKS_ADVERTISED_PORT", &port);
    });
    proxy.forward_to(&stack.brokers());
    // Until they know of each other they are brokers of their own, and a client that meets both loses what it asked the first.
    wait_until("the agents are shown as one broker", || {
        let shown: BTreeSet<Vec<i32>> = (0..3).map(|n| stack.kafka_at(n).brokers()).collect();
        shown.len() == 1
    });
    let mut scene = Scene::new(Kafka::new(format!("127.0.0.1:{port}")));
    let members = [scene.member("a"), scene.member("b"), scene.member("c")];
    wait_until("three members share", || {
        members.iter().all(|member| member.assigned().len() == 2)
    });
    scene.settles();
    let consumer = scene.kafka.consumer();
    let groups = consumer.fetch_group_list(Some(&scene.group), PATIENCE).unwrap();
    let [group] = groups.groups() else {
        panic!("it is listed once")
    };
    assert_eq!((group.state(), group.members().len()), ("Stable", 3));
    drop(members);
    scene.is_sound();
}
