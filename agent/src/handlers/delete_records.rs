//! DeleteRecords (KIP-107): logs start later. Readers below are told that their offset is out of range; the bytes stay in S3
//! until they are cleaned up.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use metastore::{LogStartMove, NewLogStart, TopicSettings};
use types::{Offset, PartitionIndex, TopicNumber};

use super::lookup::topic_named;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, of_metastore};
use crate::fetch::wait::PartitionKey;

/// "All there is", in place of an offset.
const HIGH_WATERMARK: i64 = -1;

/// "Not known", in place of where a log starts.
const NO_LOW_WATERMARK: i64 = -1;

/// The topic, or why its records cannot be deleted.
type Found = Result<TopicNumber, ResponseError>;

/// Moves the starts of all logs that are named, in one transaction.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut found = Vec::with_capacity(request.topics.len());
    let mut wanted = BTreeMap::new();
    for topic in &request.topics {
        let number = find(broker, &topic.name).await;
        if let Ok(number) = number {
            wanted.extend(new_starts(number, topic));
        }
        found.push(number);
    }
    let moved = match broker.metastore.move_log_starts(&wanted).await {
        Ok(moved) => {
            forget_deleted(broker, &moved);
            Ok(moved)
        }
        Err(error) => {
            tracing::warn!(%error, "records cannot be deleted");
            Err(of_metastore(&error, Asked::Log))
        }
    };
    let topics = request.topics.iter().zip(found).map(|(topic, found)| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let start = found.and_then(|number| match &moved {
                Ok(moved) => low_watermark(moved.get(&(number, PartitionIndex(index)))),
                Err(error) => Err(*error),
            });
            result(index, start)
        });
        DeleteRecordsTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

/// Nobody who asks this agent from now on is served what was deleted.
fn forget_deleted(broker: &Broker, moved: &BTreeMap<PartitionKey, LogStartMove>) {
    for (partition, start) in moved {
        if let LogStartMove::StartsAt(log_start) = start {
            broker.fetcher.planner.move_start(*partition, *log_start);
        }
    }
}

async fn find(broker: &Broker, name: &str) -> Found {
    let topic = topic_named(broker, name, Asked::Log).await?;
    if deletes(&topic.settings) {
        Ok(topic.number)
    } else {
        Err(ResponseError::PolicyViolation)
    }
}

/// Kafka deletes no records of a topic that is compacted only: an old value of a key could come back.
fn deletes(settings: &TopicSettings) -> bool {
    let policy = settings.0.get("cleanup.policy").map_or("delete", String::as_str);
    policy.split(',').any(|policy| policy.trim() == "delete")
}

fn new_starts(
    number: TopicNumber,
    topic: &DeleteRecordsTopic,
) -> impl Iterator<Item = ((TopicNumber, PartitionIndex), NewLogStart)> {
    topic.partitions.iter().map(move |partition| {
        let start = match partition.offset {
            HIGH_WATERMARK => NewLogStart::End,
            offset => NewLogStart::At(Offset(offset)),
        };
        ((number, PartitionIndex(partition.partition_index)), start)
    })
}

fn low_watermark(moved: Option<&LogStartMove>) -> Result<Offset, ResponseError> {
    match moved {
        Some(LogStartMove::StartsAt(offset)) => Ok(*offset),
        Some(LogStartMove::OutOfRange) => Err(ResponseError::OffsetOutOfRange),
        None => Err(ResponseError::UnknownTopicOrPartition),
    }
}

fn result(index: i32, start: Result<Offset, ResponseError>) -> DeleteRecordsPartitionResult {
    let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
    match start {
        Ok(start) => result.with_low_watermark(start.0),
        Err(error) => result
            .with_low_watermark(NO_LOW_WATERMARK)
            .with_error_code(error.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;

    #[test]
    fn only_a_topic_that_deletes_has_records_deleted() {
        let settings = |policy: &str| TopicSettings(BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]));
        assert!(deletes(&TopicSettings::default()));
        assert!(deletes(&settings("compact, delete")));
        assert!(!deletes(&settings("compact")));
    }

    #[test]
    fn minus_one_is_the_end_and_no_other_number_is() {
        let partition = |offset| DeleteRecordsPartition::default().with_offset(offset);
        let topic = |offset| DeleteRecordsTopic::default().with_partitions(vec![partition(offset)]);
        let start = |offset| new_starts(TopicNumber(1), &topic(offset)).next().unwrap().1;
        assert_eq!(start(-1), NewLogStart::End);
        assert_eq!(start(-2), NewLogStart::At(Offset(-2)));
        assert_eq!(start(0), NewLogStart::At(Offset(0)));
    }

    #[test]
    fn a_refused_partition_has_no_low_watermark() {
        let refused = result(3, low_watermark(Some(&LogStartMove::OutOfRange)));
        assert_eq!(
            (refused.low_watermark, refused.error_code),
            (-1, ResponseError::OffsetOutOfRange.code())
        );
        assert_eq!(low_watermark(None), Err(ResponseError::UnknownTopicOrPartition));
    }
}
