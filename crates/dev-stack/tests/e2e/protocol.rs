//! What a client sees of a healthy cluster.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;

use crate::kafka::{PATIENCE, at_offsets, read_from, values};
use crate::running::shared;

#[test]
fn an_idempotent_producer_gets_real_and_contiguous_offsets() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("idempotent", 1);
    let values = values(1000);
    let idempotent: [(&str, &str); 2] = [("enable.idempotence", "true"), ("batch.num.messages", "100")];
    let offsets = kafka.produce_all(&topic, 0, &values, &idempotent);
    assert_eq!(offsets, (0..1000).collect::<Vec<_>>());
    assert_eq!(kafka.read(&topic, 0, 0, 1000), at_offsets(0, &values));
}

#[test]
fn every_codec_comes_back_as_it_went_in() {
    let kafka = shared().kafka();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = kafka.create_topic(codec, 1);
        let values = values(500);
        let offsets = kafka.produce_all(&topic, 0, &values, &[("compression.type", codec)]);
        assert_eq!(offsets, (0..500).collect::<Vec<_>>(), "{codec}");
        assert_eq!(kafka.read(&topic, 0, 0, 500), at_offsets(0, &values), "{codec}");
    }
}

#[test]
fn a_fetch_starts_inside_a_batch() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("inside", 1);
    let values = values(300);
    kafka.produce_all(&topic, 0, &values, &[]);
    for from in [1, 137, 299] {
        assert_eq!(
            kafka.read(&topic, 0, from as i64, 300 - from),
            at_offsets(from as i64, &values[from..])
        );
    }
}

#[test]
fn a_small_fetch_limit_still_moves_on() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("small", 1);
    let values = values(200);
    kafka.produce_all(&topic, 0, &values, &[("batch.num.messages", "10")]);
    let consumer = kafka.consumer_at(&topic, 0, 0, &[("max.partition.fetch.bytes", "1")]);
    assert_eq!(read_from(&consumer, 200, PATIENCE), at_offsets(0, &values));
}

#[test]
fn topics_are_created_once_and_deleted_once() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("lifecycle", 3);
    assert_eq!(kafka.create(&topic, 3), Err(RDKafkaErrorCode::TopicAlreadyExists));
    assert!(kafka.topics().contains(&topic));
    kafka.produce_all(&topic, 2, &values(10), &[]);

    kafka.delete(&topic).unwrap();
    assert!(!kafka.topics().contains(&topic));
    assert_eq!(kafka.delete(&topic), Err(RDKafkaErrorCode::UnknownTopicOrPartition));

    kafka.create(&topic, 1).unwrap();
    assert_eq!(
        kafka.watermarks(&topic, 0),
        (0, 0),
        "a new topic of an old name has none of its records"
    );
}

#[test]
fn a_topic_that_is_written_to_comes_into_being() {
    let kafka = shared().kafka();
    let topic = format!("unheard-of-{}", uuid::Uuid::new_v4().simple());
    let values = values(5);
    kafka.produce_all(&topic, 0, &values, &[]);
    assert_eq!(kafka.read(&topic, 0, 0, 5), at_offsets(0, &values));
}

#[test]
fn offsets_are_found_by_time() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("by-time", 1);
    let producer = kafka.producer(&[]);
    let base_ms = 1_700_000_000_000;
    for n in 0..3 {
        // One batch each: the middle one is found by its row, not by luck.
        producer.send_at(&topic, 0, b"x", Some(base_ms + 1000 * n));
        assert!(producer.deliveries()[0].is_ok());
    }
    assert_eq!(kafka.offset_at(&topic, 0, base_ms - 1), Offset::Offset(0));
    assert_eq!(kafka.offset_at(&topic, 0, base_ms + 1), Offset::Offset(1));
    assert_eq!(kafka.offset_at(&topic, 0, base_ms + 2000), Offset::Offset(2));
    assert_eq!(kafka.offset_at(&topic, 0, base_ms + 2001), Offset::End);
}

#[test]
fn within_a_compressed_batch_the_record_is_found_by_its_time() {
    let kafka = shared().kafka();
    let base_ms = 1_700_000_000_000;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = kafka.create_topic("by-time-within", 1);
        let producer = kafka.producer(&[("compression.type", codec), ("linger.ms", "500")]);
        for n in 0..100 {
            producer.send_at(&topic, 0, b"one batch of a hundred", Some(base_ms + 10 * n));
        }
        assert!(producer.deliveries().iter().all(Result::is_ok));
        for (after_ms, offset) in [(-1, 0), (0, 0), (1, 1), (505, 51), (990, 99)] {
            assert_eq!(
                kafka.offset_at(&topic, 0, base_ms + after_ms),
                Offset::Offset(offset),
                "{codec}"
            );
        }
        assert_eq!(kafka.offset_at(&topic, 0, base_ms + 991), Offset::End, "{codec}");
    }
}

#[test]
fn a_waiting_fetch_is_woken_by_the_commit() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("long-poll", 1);
    let patient: [(&str, &str); 2] = [("fetch.wait.max.ms", "50000"), ("socket.timeout.ms", "60000")];
    let consumer = kafka.consumer_at(&topic, 0, 0, &patient);
    assert!(
        consumer.poll(Duration::from_secs(2)).is_none(),
        "nothing is there yet, and the fetch is under way"
    );
    let values = values(1);
    kafka.produce_all(&topic, 0, &values, &[]);
    let acked = Instant::now();
    assert_eq!(read_from(&consumer, 1, PATIENCE), at_offsets(0, &values));
    assert!(
        acked.elapsed() < Duration::from_secs(10),
        "the wait ended {:?} after the ack",
        acked.elapsed()
    );
}

#[test]
fn a_reader_beyond_the_end_is_told_so() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("beyond", 1);
    kafka.produce_all(&topic, 0, &values(3), &[]);
    let consumer = kafka.consumer_at(&topic, 0, 999, &[]);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody told the reader");
        match consumer.poll(Duration::from_secs(1)) {
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
}

#[test]
fn group_offsets_are_kept() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("group", 1);
    kafka.produce_all(&topic, 0, &values(10), &[]);
    let group = format!("group-{}", uuid::Uuid::new_v4().simple());
    let settings = [("group.id", group.as_str())];
    let consumer = kafka.consumer_at(&topic, 0, 0, &settings);
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(7)).unwrap();
    consumer.commit(&offsets, rdkafka::consumer::CommitMode::Sync).unwrap();

    let again = kafka.consumer_with(&settings);
    let mut asked = rdkafka::TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    let committed = again.committed_offsets(asked, PATIENCE).unwrap();
    assert_eq!(committed.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(7));
}

#[test]
fn records_sent_without_acks_arrive() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("no-acks", 1);
    let values = values(100);
    kafka.produce_all(&topic, 0, &values, &[("acks", "0")]);
    assert_eq!(kafka.read(&topic, 0, 0, 100), at_offsets(0, &values));
}

#[test]
fn a_batch_over_the_limit_is_refused_and_the_next_one_is_not() {
    let kafka = shared().kafka();
    let topic = kafka.create_topic("too-large", 1);
    let generous: [(&str, &str); 1] = [("message.max.bytes", "10000000")];
    let large = vec![b'x'; 2_000_000];
    let refused = kafka.produce(&topic, 0, &[large], &generous);
    assert_eq!(refused, [Err(RDKafkaErrorCode::MessageSizeTooLarge)]);
    assert_eq!(kafka.produce_all(&topic, 0, &values(1), &generous), [0]);
}

#[test]
fn a_transactional_producer_is_refused_for_good() {
    let kafka = shared().kafka();
    let producer = kafka.producer(&[("transactional.id", "not-yet")]);
    let error = producer.init_transactions().unwrap_err();
    assert!(
        matches!(&error, KafkaError::Transaction(refused) if !refused.is_retriable()),
        "{error}"
    );
}
