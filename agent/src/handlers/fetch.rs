//! Fetch. Sessions (KIP-227) are refused in the way clients expect: they go on with full fetches.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use types::{Offset, PartitionIndex, TopicId, TopicName};

use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked, of_metastore};
use crate::fetch::serve::{FetchLimits, ServedPartition, WantedPartition};
use crate::fetch_answer::{FetchAnswer, FetchAnswerPartition, FetchAnswerTopic};

/// First version that may carry zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;
/// First version that names topics by id (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// "No session" in requests and answers.
const NO_SESSION: i32 = 0;

/// Answers when there is enough to read, or when the client has waited long enough. Dropped when the client goes.
pub async fn handle(broker: &Arc<Broker>, _client: &Client, version: i16, request: FetchRequest) -> FetchAnswer {
    if request.session_id != NO_SESSION {
        // We never handed out a session; the client starts again without one.
        return FetchAnswer {
            error: Some(ResponseError::FetchSessionIdNotFound),
            ..FetchAnswer::default()
        };
    }
    let mut wanted = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        topics.push(look_up(broker, version, topic, &mut wanted).await);
    }
    let limits = limits(broker, version, &request, &topics);
    match broker.fetcher.serve(&wanted, limits).await {
        Ok(served) => fill(&mut topics, served),
        Err(error) => fail(&mut topics, of_metastore(&error, Asked::Log)),
    }
    FetchAnswer {
        error: None,
        session_id: NO_SESSION,
        topics,
    }
}

fn limits(broker: &Broker, version: i16, request: &FetchRequest, topics: &[FetchAnswerTopic]) -> FetchLimits {
    let refused = topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .any(|partition| partition.error.is_some());
    FetchLimits {
        // A client should hear of an error at once.
        bytes_min: if refused {
            0
        } else {
            u64::try_from(request.min_bytes).unwrap_or_default()
        },
        bytes_max: u64::from(broker.fetch_bytes_max).min(u64::try_from(request.max_bytes).unwrap_or_default()),
        wait_max: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default()),
        zstd_allowed: version >= ZSTD_SINCE,
    }
}

/// The answer's frame for one topic; partitions without an error are wanted, in order.
async fn look_up(
    broker: &Broker,
    version: i16,
    topic: &FetchTopic,
    wanted: &mut Vec<WantedPartition>,
) -> FetchAnswerTopic {
    let found = find_topic(broker, version, topic).await;
    let partitions = topic.partitions.iter().map(|partition| {
        let error = match &found {
            Err(error) => Some(*error),
            Ok(topic) => refuse(topic, partition),
        };
        if let (None, Ok(topic)) = (error, &found) {
            wanted.push(WantedPartition {
                topic: topic.number,
                partition: PartitionIndex(partition.partition),
                from: Offset(partition.fetch_offset),
                bytes_max: u64::try_from(partition.partition_max_bytes).unwrap_or_default(),
            });
        }
        FetchAnswerPartition {
            index: PartitionIndex(partition.partition),
            error,
            high_watermark: Offset::UNKNOWN,
            log_start_offset: Offset::UNKNOWN,
            records: Vec::new(),
        }
    });
    let partitions = partitions.collect();
    FetchAnswerTopic {
        name: topic.topic.to_string(),
        id: TopicId(topic.topic_id),
        partitions,
    }
}

async fn find_topic(broker: &Broker, version: i16, topic: &FetchTopic) -> Result<Arc<Topic>, ResponseError> {
    let unavailable = |error| of_metastore(&error, Asked::Log);
    if version >= TOPIC_IDS_SINCE {
        let found = broker
            .cluster
            .find_topic_by_id(TopicId(topic.topic_id))
            .await
            .map_err(unavailable)?;
        return found.ok_or(ResponseError::UnknownTopicId);
    }
    let name = TopicName::new(&topic.topic).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
    let found = broker.cluster.find_topic_by_name(&name).await.map_err(unavailable)?;
    found.ok_or(ResponseError::UnknownTopicOrPartition)
}

fn refuse(topic: &Topic, partition: &FetchPartition) -> Option<ResponseError> {
    if !(0..topic.partition_count).contains(&partition.partition) {
        return Some(ResponseError::UnknownTopicOrPartition);
    }
    // The leader epoch is 0 for ever.
    (partition.current_leader_epoch > 0).then_some(ResponseError::UnknownLeaderEpoch)
}

fn fill(topics: &mut [FetchAnswerTopic], served: Vec<ServedPartition>) {
    let open = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error.is_none());
    for (partition, served) in open.zip(served) {
        match served {
            ServedPartition::Records {
                log_start,
                end,
                assembled,
            } => {
                (partition.log_start_offset, partition.high_watermark) = (log_start, end);
                partition.records = assembled.records;
            }
            ServedPartition::OutOfRange { log_start, end } => {
                (partition.log_start_offset, partition.high_watermark) = (log_start, end);
                partition.error = Some(ResponseError::OffsetOutOfRange);
            }
            ServedPartition::Gone => partition.error = Some(ResponseError::UnknownTopicOrPartition),
            ServedPartition::Unreadable => partition.error = Some(ResponseError::KafkaStorageError),
            ServedPartition::UnsupportedCompression => {
                partition.error = Some(ResponseError::UnsupportedCompressionType);
            }
        }
    }
}

fn fail(topics: &mut [FetchAnswerTopic], error: ResponseError) {
    let open = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error.is_none());
    open.for_each(|partition| partition.error = Some(error));
}
