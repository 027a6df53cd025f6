//! ElectLeaders (KIP-460): never needed. Leaders follow the live agents by themselves, and any agent serves any partition.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use types::{PartitionIndex, TopicName};

use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked, of_metastore};

/// Kafka's `ElectionType`: preferred and unclean.
const ELECTION_TYPES: std::ops::RangeInclusive<i8> = 0..=1;

/// First version whose answer has an error of its own.
const ERROR_SINCE: i16 = 1;

/// Answers for every partition that is named. Who asks for all of them hears of those that had an election: none.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    if version >= ERROR_SINCE && !ELECTION_TYPES.contains(&request.election_type) {
        return ElectLeadersResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    let named = request.topic_partitions.unwrap_or_default();
    let mut results = Vec::with_capacity(named.len());
    for topic in &named {
        results.push(elect(broker, topic).await);
    }
    ElectLeadersResponse::default().with_replica_election_results(results)
}

async fn elect(broker: &Broker, named: &TopicPartitions) -> ReplicaElectionResult {
    let found = match TopicName::new(&named.topic) {
        Ok(name) => broker.cluster.find_topic_by_name(&name).await,
        Err(_) => Ok(None),
    };
    let found = found.map_err(|error| of_metastore(&error, Asked::Topics));
    let results = named.partitions.iter().map(|index| {
        let (error, message) = match &found {
            Ok(topic) => judge(topic.as_deref(), &named.topic, *index),
            Err(error) => (*error, error.to_string()),
        };
        PartitionResult::default()
            .with_partition_id(*index)
            .with_error_code(error.code())
            .with_error_message(Some(text(&message)))
    });
    ReplicaElectionResult::default()
        .with_topic(named.topic.clone())
        .with_partition_result(results.collect())
}

fn judge(topic: Option<&Topic>, name: &str, index: i32) -> (ResponseError, String) {
    match topic {
        None => (
            ResponseError::UnknownTopicOrPartition,
            format!("No such topic as {name}"),
        ),
        Some(topic) if !topic.has_partition(PartitionIndex(index)) => (
            ResponseError::UnknownTopicOrPartition,
            format!("No such partition as {name}-{index}"),
        ),
        Some(_) => (
            ResponseError::ElectionNotNeeded,
            "Leader election not needed for topic partition.".to_owned(),
        ),
    }
}
