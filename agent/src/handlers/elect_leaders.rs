//! ElectLeaders (KIP-460): never needed. Leaders follow the live agents by themselves, and any agent serves any partition.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use types::PartitionIndex;

use super::lookup::topic_named;
use super::wire::{Refusal, outcome};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::Asked;

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
    let found = topic_named(broker, &named.topic, Asked::Topics).await;
    let results = named.partitions.iter().map(|index| {
        let refused: Result<(), _> = Err(judge(found.as_deref(), &named.topic, *index));
        let (error_code, message) = outcome(&refused);
        PartitionResult::default()
            .with_partition_id(*index)
            .with_error_code(error_code)
            .with_error_message(message)
    });
    ReplicaElectionResult::default()
        .with_topic(named.topic.clone())
        .with_partition_result(results.collect())
}

fn judge(topic: Result<&Topic, &ResponseError>, name: &str, index: i32) -> Refusal {
    match topic {
        Err(ResponseError::UnknownTopicOrPartition) => Refusal(
            ResponseError::UnknownTopicOrPartition,
            format!("No such topic as {name}"),
        ),
        Err(error) => Refusal::plain(*error),
        Ok(topic) if !topic.has_partition(PartitionIndex(index)) => Refusal(
            ResponseError::UnknownTopicOrPartition,
            format!("No such partition as {name}-{index}"),
        ),
        Ok(_) => Refusal::new(
            ResponseError::ElectionNotNeeded,
            "Leader election not needed for topic partition.",
        ),
    }
}
