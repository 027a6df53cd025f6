use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::*;

const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

fn random_answer(rng: &mut StdRng) -> FetchAnswer {
    FetchAnswer {
        error: rng.random_bool(0.2).then_some(ResponseError::FetchSessionIdNotFound),
        session_id: rng.random(),
        topics: (0..rng.random_range(0..4)).map(|_| random_topic(rng)).collect(),
    }
}

fn random_topic(rng: &mut StdRng) -> FetchAnswerTopic {
    FetchAnswerTopic {
        name: "t".repeat(rng.random_range(0..200)),
        id: TopicId(Uuid::from_u128(rng.random())),
        partitions: (0..rng.random_range(0..150)).map(|_| random_partition(rng)).collect(),
    }
}

fn random_partition(rng: &mut StdRng) -> FetchAnswerPartition {
    let pieces = rng.random_range(0..3);
    FetchAnswerPartition {
        index: PartitionIndex(rng.random()),
        error: rng.random_bool(0.3).then_some(ResponseError::OffsetOutOfRange),
        high_watermark: Offset(rng.random()),
        log_start_offset: Offset(rng.random()),
        preferred_replica: rng.random_bool(0.3).then(|| NodeId(rng.random())),
        records: (0..pieces)
            .map(|_| vec![rng.random(); rng.random_range(0..9000)].into())
            .collect(),
    }
}

/// The same answer in `kafka-protocol`'s words.
fn reference(answer: &FetchAnswer, version: i16) -> FetchResponse {
    let sessions = version >= SESSIONS_SINCE;
    FetchResponse::default()
        .with_error_code(if sessions { code(answer.error) } else { 0 })
        .with_session_id(if sessions { answer.session_id } else { 0 })
        .with_responses(
            answer
                .topics
                .iter()
                .map(|topic| reference_topic(topic, version))
                .collect(),
        )
}

fn reference_topic(topic: &FetchAnswerTopic, version: i16) -> FetchableTopicResponse {
    FetchableTopicResponse::default()
        .with_topic(TopicName(StrBytes::from_string(topic.name.clone())))
        .with_topic_id(topic.id.0)
        .with_partitions(
            topic
                .partitions
                .iter()
                .map(|partition| reference_partition(partition, version))
                .collect(),
        )
}

fn reference_partition(partition: &FetchAnswerPartition, version: i16) -> PartitionData {
    let preferred = partition.preferred_replica.filter(|_| version >= READ_REPLICA_SINCE);
    PartitionData::default()
        .with_preferred_read_replica(BrokerId(preferred.map_or(-1, |node| node.0)))
        .with_partition_index(partition.index.0)
        .with_error_code(code(partition.error))
        .with_high_watermark(partition.high_watermark.0)
        .with_last_stable_offset(partition.high_watermark.0)
        .with_log_start_offset(partition.log_start_offset.0)
        .with_records(Some(partition.records.concat().into()))
}

#[test]
fn the_pieces_are_what_kafka_protocol_encodes() {
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        for version in VERSIONS {
            let answer = random_answer(&mut rng);
            let expected = answer::encode(version, 7, &reference(&answer, version))
                .unwrap()
                .concat();
            let pieces = answer.encode(version, 7).unwrap();
            assert!(pieces.concat() == expected, "seed {seed}, version {version}");
        }
    }
}

#[test]
fn large_records_are_not_copied() {
    let records = Bytes::from(vec![1; 100_000]);
    let address = records.as_ptr();
    let partition = FetchAnswerPartition {
        records: vec![records],
        ..FetchAnswerPartition::empty(PartitionIndex(0))
    };
    let topic = FetchAnswerTopic {
        name: "t".into(),
        id: TopicId(Uuid::nil()),
        partitions: vec![partition],
    };
    let answer = FetchAnswer {
        topics: vec![topic],
        ..FetchAnswer::default()
    };
    let pieces = answer.encode(17, 1).unwrap();
    assert!(pieces.iter().any(|piece| piece.as_ptr() == address));
}
