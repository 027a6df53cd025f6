//! OffsetCommit: remembers how far a group has read. Members commit in their generation; consumers that assign partitions to
//! themselves, and administrators, without one, while the group has no members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use metastore::{CommittedOffset, GroupFence, GroupWriteError, TopicPartition};
use types::limits::OFFSET_METADATA_BYTES_MAX;
use types::{Offset, PartitionIndex};

use super::groups::{check_id, identity};
use super::wire::{code, parse_topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, MemberAsk, Told};

/// What is to be written; a partition named twice keeps what came last.
type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

/// Commits what can be committed, with a result per partition.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    match commit(broker, &request).await {
        Ok(known) => answer(&request.topics, |topic, partition| judge(topic, partition, &known)),
        Err(error) => refused(version, &request, &error),
    }
}

/// The group says who may commit; its row, locked while the offsets are written, holds it to that.
async fn commit(broker: &Broker, request: &OffsetCommitRequest) -> Result<BTreeSet<TopicPartition>, GroupError> {
    let group = request.group_id.as_str();
    check_id(group)?;
    let who = MemberAsk {
        member: identity(&request.member_id, request.group_instance_id.as_ref()),
        generation: request.generation_id_or_member_epoch,
    };
    let (epoch, told) = broker.groups.ask(group, Ask::Commit(who)).await?;
    let Told::MayCommit { generation } = told else {
        return Err(GroupError::Unavailable);
    };
    let fence = GroupFence { epoch, generation };
    let offsets = offsets(&request.topics);
    let _turn = broker.groups.commit_turn().await;
    match broker.metastore.commit_group_offsets(group, fence, &offsets).await {
        Ok(known) => Ok(known),
        // Another coordinator or generation: asked again, whoever coordinates now says which.
        Err(GroupWriteError::Fenced) => {
            broker.groups.doubt(group, epoch);
            Err(GroupError::NotCoordinator)
        }
        Err(GroupWriteError::Metastore(error)) => {
            tracing::warn!(group.id = group, %error, "offsets cannot be committed");
            Err(GroupError::Unavailable)
        }
    }
}

/// The answer where nothing is committed.
pub fn refused(_version: i16, request: &OffsetCommitRequest, error: &GroupError) -> OffsetCommitResponse {
    let error = of_group(error);
    answer(&request.topics, |topic, partition| {
        check(topic, partition).err().or(Some(error))
    })
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

    fn topic(name: &str, metadata: String) -> OffsetCommitRequestTopic {
        let partition = OffsetCommitRequestPartition::default().with_committed_metadata(Some(metadata.into()));
        OffsetCommitRequestTopic::default()
            .with_name(text(name).into())
            .with_partitions(vec![partition])
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
