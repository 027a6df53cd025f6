//! DescribeProducers (KIP-664): who wrote to a partition with a producer id lately, from what the commit remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use commit::ProducerState as Remembered;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, TopicName as WireTopicName};
use metastore::ProducersOfPartitions;
use types::limits::PRODUCER_ID_EXPIRY_MS;
use types::{PartitionIndex, ProducerId, TopicName};

use super::lookup::topic_named;
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
    let asked = asked(request.topics);
    let mut found = Vec::with_capacity(asked.len());
    let mut wanted = Vec::new();
    for (name, indexes) in &asked {
        let result = find(broker, name).await;
        if let Ok(topic) = &result {
            let there = indexes.iter().filter(|index| topic.has_partition(**index));
            wanted.extend(there.map(|index| (topic.number, *index)));
        }
        found.push(result);
    }
    let producers = broker.metastore.active_producers(&wanted, PRODUCER_ID_EXPIRY_MS).await;
    let producers = producers.map_err(|error| of_metastore(&error, Asked::Log));
    let topics = asked.into_iter().zip(found);
    let topics = topics.map(|((name, indexes), found)| {
        let partitions = indexes
            .iter()
            .map(|index| describe_partition(*index, &found, &producers));
        TopicResponse::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

/// Each partition once: the answer is bounded by what there is, not by how often it is asked for.
fn asked(topics: Vec<TopicRequest>) -> BTreeMap<WireTopicName, BTreeSet<PartitionIndex>> {
    let mut asked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for topic in topics {
        let indexes = topic.partition_indexes.into_iter().map(PartitionIndex);
        asked.entry(topic.name).or_default().extend(indexes);
    }
    asked
}

async fn find(broker: &Broker, name: &str) -> Found {
    TopicName::new(name).map_err(|error| of_topic_name(&error))?;
    topic_named(broker, name, Asked::Log).await
}

fn describe_partition(
    index: PartitionIndex,
    found: &Found,
    producers: &Result<ProducersOfPartitions, ResponseError>,
) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index.0);
    match active(found, producers, index) {
        Ok(active) => response.with_active_producers(active),
        Err(error) => response.with_error_code(error.code()),
    }
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
