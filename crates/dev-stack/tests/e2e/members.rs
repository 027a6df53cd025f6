//! Members of consumer groups as users have them: librdkafka's `subscribe()`, each on a thread of its own. What they read, in which
//! generation, and what they committed is kept for whoever judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, Settings};

/// What makes a member speak the new protocol (KIP-848).
pub(crate) const MODERN: (&str, &str) = ("group.protocol", "consumer");

/// Members of the new protocol do not move from one generation to the next together.
const NO_GENERATION: i32 = -1;

/// How often a member commits what it has read.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// What all members of a test have seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// Offsets read, by partition.
    read: BTreeMap<i32, BTreeSet<i64>>,
    /// Who read a partition in a generation.
    readers: BTreeMap<(i32, i32), BTreeSet<String>>,
    /// What was committed last and taken, by partition.
    committed: BTreeMap<i32, i64>,
    /// What went wrong by the rules of groups.
    faults: Vec<String>,
    members: BTreeMap<String, Standing>,
}

/// How a member stands.
#[derive(Clone, Debug, Default)]
struct Standing {
    generation: i32,
    assigned: BTreeSet<i32>,
    /// When the last commit that was taken was begun.
    committed_at: Option<Instant>,
}

impl Book {
    /// A partition is handed on only after its last owner has said that it gave it up.
    fn nobody_else_has(&mut self, assigned: &BTreeSet<i32>, name: &str) {
        let others = self.members.iter().filter(|(other, _)| *other != name);
        let twice = others.filter(|(_, standing)| !standing.assigned.is_disjoint(assigned));
        let twice = twice.map(|(other, standing)| {
            format!(
                "{name} was given {assigned:?} while {other} has {:?}",
                standing.assigned
            )
        });
        self.faults.extend(twice.collect::<Vec<_>>());
    }
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether the members that there are share all `partitions` between them in one generation, and have committed in it since
    /// `since`.
    pub(crate) fn is_settled(&self, partitions: i32, since: Instant) -> bool {
        let book = self.book();
        let mut all: Vec<i32> = Vec::new();
        for standing in book.members.values() {
            all.extend(&standing.assigned);
        }
        all.sort_unstable();
        let generations: BTreeSet<i32> = book.members.values().map(|member| member.generation).collect();
        let fresh = |standing: &Standing| standing.assigned.is_empty() || standing.committed_at > Some(since);
        generations.len() == 1 && all == (0..partitions).collect::<Vec<_>>() && book.members.values().all(fresh)
    }

    /// How many records were read, each counted once.
    pub(crate) fn read(&self) -> usize {
        self.book().read.values().map(BTreeSet::len).sum()
    }

    /// The offsets of a partition that were read.
    pub(crate) fn offsets(&self, partition: i32) -> BTreeSet<i64> {
        self.book().read.get(&partition).cloned().unwrap_or_default()
    }

    /// Generations in which something was read.
    pub(crate) fn generations(&self) -> usize {
        let generations: BTreeSet<i32> = self.book().readers.keys().map(|(generation, _)| *generation).collect();
        generations.len()
    }

    /// How the members stand, for a test that failed.
    pub(crate) fn standing(&self) -> String {
        format!("{:?}", self.book().members)
    }

    /// Everything that must not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let book = self.book();
        let twice = book
            .readers
            .iter()
            .filter(|((generation, _), readers)| *generation != NO_GENERATION && readers.len() > 1);
        let twice = twice.map(|((generation, partition), readers)| {
            format!("partition {partition} was read by {readers:?} in generation {generation}")
        });
        book.faults.iter().cloned().chain(twice).collect()
    }
}

/// A member, reading and committing until it is stopped.
pub(crate) struct Member {
    name: String,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    /// Whether it says goodbye.
    leave: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    pub(crate) fn start(
        kafka: &Kafka,
        ledger: &Arc<Ledger>,
        group: &str,
        topic: &str,
        name: &str,
        settings: Settings<'_>,
    ) -> Self {
        let context = Observer {
            name: name.to_owned(),
            ledger: Arc::clone(ledger),
            joined: Mutex::new(NO_GENERATION),
        };
        let mut config = kafka.client();
        config
            .set("client.id", name)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("fetch.wait.max.ms", "200")
            // Of a coordinator that is gone, sooner than by default.
            .set("socket.timeout.ms", "10000")
            // Where librdkafka says its generation.
            .set("debug", "cgrp")
            .set_log_level(RDKafkaLogLevel::Debug);
        for (setting, value) in settings {
            config.set(*setting, *value);
        }
        let is_modern = settings.contains(&MODERN);
        if is_modern {
            // The coordinator says these.
            config.remove("session.timeout.ms");
            config.remove("heartbeat.interval.ms");
        }
        let consumer: BaseConsumer<Observer> = config.create_with_context(context).unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let leave = Arc::new(AtomicBool::new(true));
        let working = Working {
            consumer,
            topic: topic.to_owned(),
            stop: Arc::clone(&stop),
            leave: Arc::clone(&leave),
        };
        Self {
            name: name.to_owned(),
            ledger: Arc::clone(ledger),
            stop,
            leave,
            thread: Some(std::thread::spawn(move || working.run())),
        }
    }

    /// The partitions that it has now.
    pub(crate) fn assigned(&self) -> BTreeSet<i32> {
        let book = self.ledger.book();
        book.members
            .get(&self.name)
            .map(|standing| standing.assigned.clone())
            .unwrap_or_default()
    }

    /// The generation that it has joined last.
    pub(crate) fn generation(&self) -> i32 {
        let book = self.ledger.book();
        book.members.get(&self.name).map_or(-1, |standing| standing.generation)
    }

    /// Stops it without a word to the group: a static member that restarts.
    pub(crate) fn vanish(self) {
        self.leave.store(false, Ordering::SeqCst);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A member that panicked has been heard of.
            let _ = thread.join();
        }
        self.ledger.book().members.remove(&self.name);
    }
}

struct Working {
    consumer: BaseConsumer<Observer>,
    topic: String,
    stop: Arc<AtomicBool>,
    leave: Arc<AtomicBool>,
}

impl Working {
    fn run(self) {
        let mut read: BTreeMap<i32, i64> = BTreeMap::new();
        let mut last_commit = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(20))
                && self.consumer.context().has_read(message.partition(), message.offset())
            {
                read.insert(message.partition(), message.offset() + 1);
            }
            if last_commit.elapsed() >= COMMIT_INTERVAL {
                last_commit = Instant::now();
                self.commit(&mut read);
            }
        }
        if self.leave.load(Ordering::SeqCst) {
            self.commit(&mut read);
            self.consumer.unsubscribe();
        }
    }

    /// Commits what is still its own; what it lost meanwhile was read for nothing.
    fn commit(&self, read: &mut BTreeMap<i32, i64>) {
        let context = self.consumer.context();
        let own = context.assigned();
        read.retain(|partition, _| own.contains(partition));
        context.add_known(&own, read);
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in &*read {
            offsets
                .add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .unwrap();
        }
        if read.is_empty() {
            return;
        }
        let begun = Instant::now();
        if self.consumer.commit(&offsets, CommitMode::Sync).is_ok() {
            context.has_committed(begun, read);
        }
    }
}

/// Notes what librdkafka does.
struct Observer {
    name: String,
    ledger: Arc<Ledger>,
    /// The generation of the last JoinGroup, which the next assignment belongs to.
    joined: Mutex<i32>,
}

impl Observer {
    fn assigned(&self) -> BTreeSet<i32> {
        let book = self.ledger.book();
        book.members
            .get(&self.name)
            .map(|standing| standing.assigned.clone())
            .unwrap_or_default()
    }

    /// False: it was taken from the queue although its partition was revoked while it lay there.
    fn has_read(&self, partition: i32, offset: i64) -> bool {
        let mut book = self.ledger.book();
        let standing = book.members.entry(self.name.clone()).or_default();
        if !standing.assigned.contains(&partition) {
            return false;
        }
        let generation = standing.generation;
        book.readers
            .entry((generation, partition))
            .or_default()
            .insert(self.name.clone());
        book.read.entry(partition).or_default().insert(offset);
        true
    }

    /// Where others stood in partitions that have nothing new: a member that has read nothing yet shows by committing that it may.
    fn add_known(&self, own: &BTreeSet<i32>, read: &mut BTreeMap<i32, i64>) {
        let book = self.ledger.book();
        for partition in own {
            if let Some(committed) = book.committed.get(partition) {
                read.entry(*partition).or_insert(*committed);
            }
        }
    }

    /// Whatever lies below a committed offset has to have been read by somebody.
    fn has_committed(&self, begun: Instant, offsets: &BTreeMap<i32, i64>) {
        let mut book = self.ledger.book();
        for (partition, offset) in offsets {
            let read = book.read.get(partition).map_or(0, |read| read.range(..offset).count());
            if i64::try_from(read).unwrap() != *offset {
                let fault = format!(
                    "{}: committed {offset} of partition {partition}, {read} below it were read",
                    self.name
                );
                book.faults.push(fault);
            }
            book.committed.insert(*partition, *offset);
        }
        if let Some(standing) = book.members.get_mut(&self.name) {
            standing.committed_at = Some(begun);
        }
    }
}

impl ClientContext for Observer {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, message: &str) {
        // "JoinGroup response: GenerationId 3, Protocol range, ..."
        let generation = message.split_once("GenerationId ").map(|(_, rest)| rest);
        let digits = generation.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        if let (true, Some(Ok(generation))) = (message.contains("JoinGroup response"), digits.map(str::parse::<i32>)) {
            *self.joined.lock().unwrap() = generation;
        }
    }

    fn error(&self, _error: KafkaError, _reason: &str) {
        // Brokers come and go in these tests; what matters is what members read and commit.
    }
}

impl ConsumerContext for Observer {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut book = self.ledger.book();
        let standing = book.members.entry(self.name.clone()).or_default();
        match rebalance {
            Rebalance::Assign(partitions) => {
                standing.generation = *self.joined.lock().unwrap();
                let is_modern = standing.generation == NO_GENERATION;
                let assigned: BTreeSet<i32> = partitions.elements().iter().map(|at| at.partition()).collect();
                standing.assigned.extend(&assigned);
                if is_modern {
                    book.nobody_else_has(&assigned, &self.name);
                }
            }
            Rebalance::Revoke(partitions) => {
                for at in partitions.elements() {
                    standing.assigned.remove(&at.partition());
                }
            }
            Rebalance::Error(_) => standing.assigned.clear(),
        }
    }
}

/// Waits until `holds`; says what did not hold otherwise.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
