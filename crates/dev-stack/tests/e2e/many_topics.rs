//! A thousand topics of ten partitions: what it takes to create them, and to tell a client of all of them.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;

use crate::kafka::{PATIENCE, block_on};
use crate::running::Running;

const TOPICS: usize = 1000;
const TOPICS_AT_ONCE: usize = 100;
const PARTITIONS: i32 = 10;
const QUESTIONS: usize = 200;

/// What a release build has to reach. A debug build is slower by a factor that depends on the machine: there only memory
/// and order of magnitude are judged.
const SLACK: u32 = if cfg!(debug_assertions) { 100 } else { 1 };

#[test]
fn a_thousand_topics_are_created_and_told_of_quickly_in_little_memory() {
    let running = Running::start(1, |_| ());
    let kafka = running.kafka();
    let admin = kafka.admin();
    let names: Vec<String> = (0..TOPICS).map(|n| format!("topic-number-{n}")).collect();
    let mut slowest = Duration::ZERO;
    for names in names.chunks(TOPICS_AT_ONCE) {
        let topics: Vec<_> = names
            .iter()
            .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)))
            .collect();
        let started = Instant::now();
        let created = block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
        slowest = slowest.max(started.elapsed());
        assert!(created.iter().all(Result::is_ok));
    }
    let consumer = kafka.consumer();
    let mut times: Vec<Duration> = (0..QUESTIONS)
        .map(|_| {
            let started = Instant::now();
            let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
            let took = started.elapsed();
            let partitions: usize = metadata.topics().iter().map(|topic| topic.partitions().len()).sum();
            assert_eq!((metadata.topics().len(), partitions), (TOPICS, TOPICS * 10));
            took
        })
        .collect();
    times.sort_unstable();
    let (median, p99) = (times[QUESTIONS / 2], times[QUESTIONS * 99 / 100]);
    let memory_mib = running.agent_memory_mib(0);
    println!(
        "100 topics created in at most {slowest:?}; metadata of all: median {median:?}, p99 {p99:?}; {memory_mib} MiB"
    );
    assert!(slowest < Duration::from_secs(2) * SLACK);
    assert!(p99 < Duration::from_millis(50) * SLACK);
    assert!(memory_mib < 300);
}
