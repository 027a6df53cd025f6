//! DescribeProducers (KIP-664): who wrote to a partition with a producer id lately, from what the commit remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use commit::ProducerState as Remembered;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use metastore::ProducersOfPartitions;
use types::limits::PRODUCER_ID_EXPIRY_MS;
use types::{PartitionIndex, ProducerId, TopicName};

use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked, of_metastore, of_topic_name};

/// "None": there are no transactions.
const NO_COORDINATOR: i32 = -1;
const NO_TRANSACTION: i64 = -1;

/// The topic, or why its producers cannot be told.
type Found = Result<Arc<Topic>, ResponseError>;

/// Answers for every partition that is named.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut found = Vec::with_capacity(request.topics.len());
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let result = find(broker, &topic.name).await;
        if let Ok(there) = &result {
            let partitions = topic.partition_indexes.iter().map(|index| PartitionIndex(*index));
            let partitions = partitions.filter(|index| there.has_partition(*index));
            wanted.extend(partitions.map(|index| (there.number, index)));
        }
        found.push(result);
    }
    let producers = broker.metastore.active_producers(&wanted, PRODUCER_ID_EXPIRY_MS).await;
    let producers = producers.map_err(|error| of_metastore(&error, Asked::Log));
    let topics = request.topics.iter().zip(found);
    let topics = topics.map(|(topic, found)| describe_topic(topic, &found, &producers));
    DescribeProducersResponse::default().with_topics(topics.collect())
}

async fn find(broker: &Broker, name: &str) -> Found {
    let name = TopicName::new(name).map_err(|error| of_topic_name(&error))?;
    let found = broker.cluster.find_topic_by_name(&name).await;
    let found = found.map_err(|error| of_metastore(&error, Asked::Log))?;
    found.ok_or(ResponseError::UnknownTopicOrPartition)
}

fn describe_topic(
    topic: &TopicRequest,
    found: &Found,
    producers: &Result<ProducersOfPartitions, ResponseError>,
) -> TopicResponse {
    let partitions = topic.partition_indexes.iter().map(|index| {
        let active = active(found, producers, PartitionIndex(*index));
        let response = PartitionResponse::default().with_partition_index(*index);
        match active {
            Ok(active) => response.with_active_producers(active),
            Err(error) => response.with_error_code(error.code()),
        }
    });
    TopicResponse::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect())
}

fn active(
    found: &Found,
    producers: &Result<ProducersOfPartitions, ResponseError>,
    partition: PartitionIndex,
) -> Result<Vec<ProducerState>, ResponseError> {
    let topic = found.as_ref().map_err(|error| *error)?;
    if !topic.has_partition(partition) {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let producers = producers.as_ref().map_err(|error| *error)?;
    let none = BTreeMap::new();
    let of_partition = producers.get(&(topic.number, partition)).unwrap_or(&none);
    Ok(of_partition.iter().map(|(id, state)| describe(*id, state)).collect())
}

fn describe(id: ProducerId, state: &Remembered) -> ProducerState {
    ProducerState::default()
        .with_producer_id(id.0.into())
        .with_producer_epoch(i32::from(state.epoch.0))
        .with_last_sequence(state.last_sequence().0)
        .with_last_timestamp(state.updated_at.0)
        .with_coordinator_epoch(NO_COORDINATOR)
        .with_current_txn_start_offset(NO_TRANSACTION)
}
