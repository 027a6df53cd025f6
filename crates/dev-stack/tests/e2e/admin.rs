//! What librdkafka's admin client does to a running cluster, and what producers and readers notice of it.

use std::time::Instant;

use rdkafka::admin::{AdminOptions, AlterConfig, ConfigSource, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, Timestamp};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, at_offsets, block_on, read_from, values};
use crate::running::{Running, shared};

impl Kafka {
    fn alter(&self, topic: &str, name: &str, value: &str) -> Result<(), RDKafkaErrorCode> {
        let wish = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
        let altered = block_on(self.admin().alter_configs([&wish], &AdminOptions::new())).unwrap();
        altered.into_iter().next().unwrap().map(drop).map_err(|(_, code)| code)
    }

    fn delete_before(&self, topic: &str, partition: i32, offset: Offset) -> Result<i64, RDKafkaErrorCode> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(topic, partition, offset).unwrap();
        let deleted = block_on(self.admin().delete_records(&wanted, &AdminOptions::new())).unwrap();
        let deleted = deleted.find_partition(topic, partition).unwrap();
        match (deleted.error(), deleted.offset()) {
            (Ok(()), Offset::Offset(low)) => Ok(low),
            (Err(KafkaError::OffsetFetch(code)), _) => Err(code),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_topic_grows_and_its_new_partitions_take_records() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("growing", 1);
    let grow = |count| {
        let wish = NewPartitions::new(&topic, count);
        let grown = block_on(kafka.admin().create_partitions([&wish], &AdminOptions::new())).unwrap();
        grown.into_iter().next().unwrap().map(drop).map_err(|(_, code)| code)
    };
    assert_eq!(grow(4), Ok(()));
    assert_eq!(grow(4), Err(RDKafkaErrorCode::InvalidPartitions));
    let values = values(3);
    assert_eq!(kafka.produce_all(&topic, 3, &values, &[]), [0, 1, 2]);
    assert_eq!(kafka.read(&topic, 3, 0, 3), at_offsets(0, &values));
}

#[test]
fn a_log_whose_records_are_deleted_starts_later_and_readers_below_are_told_so() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("deleting", 1);
    let values = values(10);
    // Small batches: the log starts inside an index row, between batches, and inside one.
    kafka.produce_all(&topic, 0, &values, &[("batch.num.messages", "3")]);
    assert_eq!(kafka.delete_before(&topic, 0, Offset::Offset(4)), Ok(4));
    assert_eq!(kafka.watermarks(&topic, 0), (4, 10));
    assert_eq!(kafka.read(&topic, 0, 4, 6), at_offsets(4, &values[4..]));
    let consumer = kafka.consumer_at(&topic, 0, 1, &[]);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody told the reader");
        match consumer.poll(PATIENCE / 60) {
            Some(Err(error)) => break error,
            Some(Ok(message)) => panic!("offset {} was served", message.offset()),
            None => {}
        }
    };
    assert!(
        matches!(
            error,
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        ),
        "{error}"
    );
    let beyond = kafka.delete_before(&topic, 0, Offset::Offset(11));
    assert_eq!(beyond, Err(RDKafkaErrorCode::OffsetOutOfRange));
    assert_eq!(
        kafka.delete_before(&topic, 0, Offset::Offset(2)),
        Ok(4),
        "a start never moves back"
    );
    assert_eq!(kafka.delete_before(&topic, 0, Offset::End), Ok(10));
    assert_eq!(kafka.watermarks(&topic, 0), (10, 10));
    assert_eq!(kafka.produce_all(&topic, 0, &values[..1], &[]), [10], "offsets go on");
}

#[test]
fn a_topic_under_log_append_time_stamps_what_it_takes() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("stamped", 1);
    let long_ago = 1_000_000_000_000;
    let stamp = |n: i64| {
        let producer = kafka.producer(&[]);
        producer.send_at(&topic, 0, b"x", Some(long_ago));
        assert!(producer.deliveries()[0].is_ok());
        let consumer = kafka.consumer_at(&topic, 0, n, &[]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "record {n} does not come");
            if let Some(Ok(message)) = consumer.poll(PATIENCE / 60) {
                break message.timestamp();
            }
        }
    };
    assert_eq!(stamp(0), Timestamp::CreateTime(long_ago));
    kafka.alter(&topic, "message.timestamp.type", "LogAppendTime").unwrap();
    let Timestamp::LogAppendTime(stamped) = stamp(1) else {
        panic!("the agent that altered the setting knows of it")
    };
    assert!(stamped > long_ago);
    assert_eq!(kafka.offset_at(&topic, 0, stamped), Offset::Offset(1));
    assert_eq!(kafka.offset_at(&topic, 0, stamped + 1), Offset::End);
}

#[test]
fn an_altered_size_limit_holds_at_every_agent_within_its_view() {
    let running = Running::start(2, |_| ());
    let kafka = running.kafka_at(0);
    let topic = kafka.create_topic("limited", 8);
    let large = vec![vec![b'x'; 20_000]];
    let generous: [(&str, &str); 1] = [("message.max.bytes", "10000000")];
    for partition in 0..8 {
        kafka.produce_all(&topic, partition, &large, &generous);
    }
    kafka.alter(&topic, "max.message.bytes", "10000").unwrap();
    let altered = Instant::now();
    // Leaders are spread: eight partitions meet both agents.
    for partition in 0..8 {
        while kafka.produce(&topic, partition, &large, &generous)[0] != Err(RDKafkaErrorCode::MessageSizeTooLarge) {
            assert!(
                altered.elapsed() < PATIENCE,
                "partition {partition} still takes large records"
            );
        }
    }
}

#[test]
fn settings_are_described_with_where_they_come_from() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("described", 1);
    // What is refused is agent/tests/alterations.rs's business: the Rust client tells of no resource's error.
    kafka.alter(&topic, "retention.ms", "60000").unwrap();
    let broker = kafka.brokers()[0];
    let wanted = [ResourceSpecifier::Topic(&topic), ResourceSpecifier::Broker(broker)];
    let mut described = Vec::new();
    for resource in &wanted {
        // One at a time: librdkafka sends those of a broker to that broker.
        described.extend(block_on(kafka.admin().describe_configs([resource], &AdminOptions::new())).unwrap());
    }
    let of_topic = described[0].as_ref().unwrap();
    let retention = of_topic.get("retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("60000"));
    assert_eq!(retention.source, ConfigSource::DynamicTopic);
    assert_eq!(of_topic.get("flush.ms").unwrap().source, ConfigSource::Default);
    let of_broker = described[1].as_ref().unwrap();
    let id = of_broker.get("broker.id").unwrap();
    assert_eq!(id.value.as_deref(), Some(broker.to_string().as_str()));
    assert!(id.is_read_only);
}

#[test]
fn a_reader_of_deleted_records_goes_on_where_the_log_starts() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("skipping", 1);
    let values = values(20);
    kafka.produce_all(&topic, 0, &values, &[]);
    kafka.delete_before(&topic, 0, Offset::Offset(13)).unwrap();
    let consumer = kafka.consumer_at(&topic, 0, 0, &[("auto.offset.reset", "earliest")]);
    assert_eq!(read_from(&consumer, 7, PATIENCE), at_offsets(13, &values[13..]));
    let (low, _) = consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap();
    assert_eq!(low, 13);
}
