//! OffsetCommit: remembers how far a group has read. Groups that Kafka manages (JoinGroup) are not built yet, so only
//! consumers that assign partitions to themselves commit: generation -1.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use metastore::{CommittedOffset, TopicPartition};
use types::limits::OFFSET_METADATA_BYTES_MAX;
use types::{Offset, PartitionIndex};

use super::wire::{check_group_id, code, parse_topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, of_metastore};

/// What is to be written; a partition named twice keeps what came last.
type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

/// Commits what can be committed, with a result per partition.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    if let Err(error) = check_request(&request) {
        return answer(&request.topics, |_, _| Some(error));
    }
    let offsets = offsets(&request.topics);
    match broker.metastore.commit_group_offsets(&request.group_id, &offsets).await {
        Ok(known) => answer(&request.topics, |topic, partition| judge(topic, partition, &known)),
        Err(error) => {
            tracing::warn!(group.id = %request.group_id.as_str(), %error, "offsets cannot be committed");
            let error = of_metastore(&error, Asked::Group);
            answer(&request.topics, |topic, partition| {
                check(topic, partition).err().or(Some(error))
            })
        }
    }
}

fn check_request(request: &OffsetCommitRequest) -> Result<(), ResponseError> {
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    check_group_id(&request.group_id)?;
    // No group has members, so a generation belongs to one that is gone. Without a generation Kafka does not look at the
    // member id either.
    if request.generation_id_or_member_epoch >= 0 {
        Err(ResponseError::IllegalGeneration)
    } else {
        Ok(())
    }
}

fn offsets(topics: &[OffsetCommitRequestTopic]) -> Offsets {
    let partitions = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    partitions
        .filter_map(|(topic, partition)| {
            let key = check(topic, partition).ok()?;
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default().to_owned();
            let offset = Offset(partition.committed_offset);
            Some((
                key,
                CommittedOffset {
                    offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata,
                },
            ))
        })
        .collect()
}

fn check(
    topic: &OffsetCommitRequestTopic,
    partition: &OffsetCommitRequestPartition,
) -> Result<TopicPartition, ResponseError> {
    let name = parse_topic_name(&topic.name).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
    let metadata_bytes = partition
        .committed_metadata
        .as_ref()
        .map_or(0, |metadata| metadata.len());
    if metadata_bytes > OFFSET_METADATA_BYTES_MAX {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(TopicPartition {
        topic: name,
        partition: PartitionIndex(partition.partition_index),
    })
}

fn judge(
    topic: &OffsetCommitRequestTopic,
    partition: &OffsetCommitRequestPartition,
    known: &BTreeSet<TopicPartition>,
) -> Option<ResponseError> {
    match check(topic, partition) {
        Ok(key) => (!known.contains(&key)).then_some(ResponseError::UnknownTopicOrPartition),
        Err(error) => Some(error),
    }
}

fn answer(
    topics: &[OffsetCommitRequestTopic],
    error: impl Fn(&OffsetCommitRequestTopic, &OffsetCommitRequestPartition) -> Option<ResponseError>,
) -> OffsetCommitResponse {
    let topics = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code(error(topic, partition)))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::{encodes, text};

    fn request(group: &str, generation: i32) -> OffsetCommitRequest {
        OffsetCommitRequest::default()
            .with_group_id(text(group).into())
            .with_generation_id_or_member_epoch(generation)
    }

    fn topic(name: &str, metadata: String) -> OffsetCommitRequestTopic {
        let partition = OffsetCommitRequestPartition::default().with_committed_metadata(Some(metadata.into()));
        OffsetCommitRequestTopic::default()
            .with_name(text(name).into())
            .with_partitions(vec![partition])
    }

    #[test]
    fn only_consumers_without_a_generation_may_commit() {
        assert_eq!(check_request(&request("g", -1)), Ok(()));
        assert_eq!(check_request(&request("g", 0)), Err(ResponseError::IllegalGeneration));
        assert_eq!(check_request(&request("", -1)), Err(ResponseError::InvalidGroupId));
    }

    #[test]
    fn a_partition_that_cannot_be_committed_does_not_keep_others_from_it() {
        let topics = [
            topic("a b", String::new()),
            topic("t", "x".repeat(4097)),
            topic("u", "x".repeat(4096)),
        ];
        let offsets = offsets(&topics);
        assert_eq!(offsets.len(), 1);
        let known = offsets.keys().cloned().collect();
        let errors: Vec<_> = topics
            .iter()
            .map(|topic| judge(topic, &topic.partitions[0], &known))
            .collect();
        let expected = [
            Some(ResponseError::UnknownTopicOrPartition),
            Some(ResponseError::OffsetMetadataTooLarge),
            None,
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let response = answer(&[topic("t", String::new())], |_, _| {
            Some(ResponseError::IllegalGeneration)
        });
        (2..=9).for_each(|version| encodes(&response, version));
    }
}
