//! Agents in several zones that come and go under load: clients see none of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oracle::Oracle;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, Settings};
use crate::running::{Running, agent_env_of};

const PARTITIONS: i32 = 6;

/// Agents 0 and 1 in a zone each, agent 2 in that of agent 1.
fn three_agents() -> Running {
    Running::start(3, |config| {
        for (n, zone) in ["zone-a", "zone-b", "zone-b"].into_iter().enumerate() {
            agent_env_of(config, n, "YAKS_RACK", zone);
        }
    })
}

fn wait_until_acked(oracle: &Oracle, records: u64) {
    let deadline = Instant::now() + PATIENCE;
    while oracle.so_far().acked < records {
        assert!(Instant::now() < deadline, "the load stands at {:?}", oracle.so_far());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A reader of all partitions of `topic` from their beginning.
fn reader(kafka: &Kafka, topic: &str, settings: Settings<'_>) -> BaseConsumer {
    let consumer = kafka.consumer_with(settings);
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    consumer
}

/// Errors that librdkafka passes on for information only: it goes on by itself.
fn is_hidden(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    matches!(
        error,
        KafkaError::MessageConsumption(AllBrokersDown | BrokerTransportFailure | Resolve)
    )
}

/// Polls until `done` and then until there are `written` records; each has to come once, in the order of its partition.
fn read_all(consumer: &BaseConsumer, done: &AtomicBool, written: impl Fn() -> usize) -> usize {
    let mut next = vec![0; PARTITIONS as usize];
    let mut deadline = None;
    loop {
        let read = next.iter().sum::<i64>() as usize;
        if done.load(Ordering::Acquire) {
            if read == written() {
                return read;
            }
            let deadline = *deadline.get_or_insert(Instant::now() + PATIENCE);
            assert!(Instant::now() < deadline, "{read} of {} records came", written());
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let next = &mut next[message.partition() as usize];
                assert_eq!(message.offset(), *next);
                *next += 1;
            }
            Some(Err(error)) => assert!(is_hidden(&error), "{error}"),
            None => {}
        }
    }
}

/// Writes to all partitions in turn until `done`; how many records were acked, none of which may fail.
fn write_until(kafka: &Kafka, topic: &str, done: &AtomicBool) -> usize {
    let producer = kafka.producer(&[("client.id", "writer,zone=zone-a"), ("enable.idempotence", "true")]);
    let mut sent = 0;
    while !done.load(Ordering::Acquire) {
        producer.send(topic, sent % PARTITIONS, b"a record while agents come and go");
        sent += 1;
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let deliveries = producer.deliveries();
    assert!(deliveries.iter().all(Result::is_ok), "{deliveries:?}");
    deliveries.len()
}

#[test]
fn agents_that_come_and_go_under_load_are_not_seen_by_clients_of_any_zone() {
    const PRODUCERS: u32 = 6;
    const RECORDS: u64 = 600;
    let stack = three_agents();
    let kafka = stack.kafka();
    let topic = kafka.create_topic("zones", PARTITIONS);
    stack.stop_agent(2);
    let readers = [
        reader(&kafka, &topic, &[("client.rack", "zone-b")]),
        reader(&kafka, &topic, &[("client.id", "reader,zone=zone-b")]),
        reader(&kafka, &topic, &[]),
    ];
    let (written_all, read_enough) = (AtomicBool::new(false), AtomicBool::new(false));
    let written = OnceLock::new();
    let report = stack.oracle_during(
        |config| {
            config.producers = PRODUCERS;
            config.records = RECORDS;
            config.rate = 50;
        },
        |oracle| {
            std::thread::scope(|scope| {
                let writing = scope.spawn(|| write_until(&kafka, &topic, &written_all));
                let reading: Vec<_> = readers
                    .iter()
                    .map(|reader| {
                        let (done, written) = (&read_enough, &written);
                        scope.spawn(move || read_all(reader, done, || *written.get().unwrap()))
                    })
                    .collect();
                let at = |share: u64| wait_until_acked(oracle, u64::from(PRODUCERS) * RECORDS * share / 10);
                at(2);
                stack.start_agent(2);
                at(4);
                stack.stop_agent(0);
                at(6);
                stack.kill_agent(1);
                at(9);
                written_all.store(true, Ordering::Release);
                written.set(writing.join().unwrap()).unwrap();
                read_enough.store(true, Ordering::Release);
                for reader in reading {
                    assert_eq!(reader.join().unwrap(), *written.get().unwrap());
                }
            });
            // The oracle's own readers bootstrap from one agent each.
            stack.start_agent(0);
            stack.start_agent(1);
        },
    );
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.failed, 0, "{report}");
}

#[test]
fn a_reader_with_a_rack_reads_from_an_agent_of_its_zone() {
    let stack = three_agents();
    let kafka = stack.kafka();
    let topic = kafka.create_topic("near", PARTITIONS);
    for partition in 0..PARTITIONS {
        kafka.produce_all(&topic, partition, &crate::kafka::values(50), &[]);
    }
    let served = |n: usize| stack.metric_of_agent(n, "yaks_fetch_bytes_total");
    let before = [served(0), served(1) + served(2)];
    let consumer = reader(&kafka, &topic, &[("client.rack", "zone-a")]);
    let done = AtomicBool::new(true);
    assert_eq!(read_all(&consumer, &done, || 50 * PARTITIONS as usize), 300);
    assert!(served(0) > before[0], "agent 0 is the one in zone a");
    assert_eq!(served(1) + served(2), before[1], "nothing was read in the other zone");
}
