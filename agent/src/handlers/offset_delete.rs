//! OffsetDelete (KIP-496): makes a group forget how far it has read, except where its members are reading.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use metastore::{GroupWriteError, TopicPartition};
use types::PartitionIndex;

use super::groups::check_id;
use super::wire::{code, parse_topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, Told};

/// Deletes what may be deleted, with a result per partition.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    match delete(broker, &request).await {
        Ok((subscribed, known)) => answer(&request, &subscribed, &known),
        Err(error) => refused(version, &request, &error),
    }
}

type Deleted = (BTreeSet<String>, BTreeSet<TopicPartition>);

async fn delete(broker: &Broker, request: &OffsetDeleteRequest) -> Result<Deleted, GroupError> {
    let group = request.group_id.as_str();
    check_id(group)?;
    let (epoch, told) = broker.groups.ask(group, Ask::Forget).await?;
    let Told::MayForget { subscribed } = told else {
        return Err(GroupError::Unavailable);
    };
    let partitions = request
        .topics
        .iter()
        .filter(|topic| !subscribed.contains(topic.name.as_str()));
    let partitions = partitions.flat_map(|topic| {
        let name = parse_topic_name(&topic.name).ok();
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        partitions.filter_map(move |index| Some(at(name.clone()?, index)))
    });
    let partitions = partitions.collect();
    let deleted = broker.metastore.delete_group_offsets(group, epoch, &partitions).await;
    match deleted {
        Ok(known) => Ok((subscribed, known)),
        Err(GroupWriteError::Fenced) => {
            broker.groups.doubt(group, epoch);
            Err(GroupError::NotCoordinator)
        }
        Err(GroupWriteError::Metastore(error)) => {
            tracing::warn!(group.id = group, %error, "offsets cannot be deleted");
            Err(GroupError::Unavailable)
        }
    }
}

fn at(topic: types::TopicName, index: i32) -> TopicPartition {
    TopicPartition {
        topic,
        partition: PartitionIndex(index),
    }
}

fn answer(
    request: &OffsetDeleteRequest,
    subscribed: &BTreeSet<String>,
    known: &BTreeSet<TopicPartition>,
) -> OffsetDeleteResponse {
    let topics = request.topics.iter().map(|topic| {
        let name = parse_topic_name(&topic.name).ok();
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let is_known = name.clone().is_some_and(|name| known.contains(&at(name, index)));
            let error = match (subscribed.contains(topic.name.as_str()), is_known) {
                (true, _) => Some(ResponseError::GroupSubscribedToTopic),
                (false, false) => Some(ResponseError::UnknownTopicOrPartition),
                (false, true) => None,
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code(error))
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

/// The answer where nothing is deleted.
pub fn refused(_version: i16, _request: &OffsetDeleteRequest, error: &GroupError) -> OffsetDeleteResponse {
    OffsetDeleteResponse::default().with_error_code(of_group(error).code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::{NO_ERROR, encodes, text};
    use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    use types::TopicName;

    #[test]
    fn each_partition_is_told_why_it_keeps_its_offset() {
        let topic = |name: &str| {
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
            OffsetDeleteRequestTopic::default()
                .with_name(text(name).into())
                .with_partitions(vec![partition])
        };
        let request = OffsetDeleteRequest::default().with_topics(vec![topic("read"), topic("gone"), topic("idle")]);
        let known = BTreeSet::from([at(TopicName::new("idle").unwrap(), 0)]);
        let response = answer(&request, &BTreeSet::from(["read".to_owned()]), &known);
        let codes: Vec<i16> = response
            .topics
            .iter()
            .map(|topic| topic.partitions[0].error_code)
            .collect();
        let subscribed = ResponseError::GroupSubscribedToTopic.code();
        assert_eq!(
            codes,
            [subscribed, ResponseError::UnknownTopicOrPartition.code(), NO_ERROR]
        );
        encodes(&response, 0);
    }
}
