//! AlterPartitionReassignments (KIP-455): refused. Partitions are not assigned to brokers here, any agent serves any of them;
//! to accept a wish and not fulfil it would let tools wait for ever.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use types::{NodeId, PartitionIndex};

use super::lookup::topic_named;
use super::wire::{Refusal, outcome};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::placement::Placement;
use crate::cluster::view::Topic;
use crate::error::Asked;

/// Answers for every partition that is named.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let placement = broker.placement(client);
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        responses.push(reassign(broker, &placement, topic).await);
    }
    AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_responses(responses)
}

async fn reassign(broker: &Broker, placement: &Placement, named: &ReassignableTopic) -> ReassignableTopicResponse {
    let found = topic_named(broker, &named.name, Asked::Topics).await;
    let partitions = named.partitions.iter().map(|partition| {
        let result = judge(found.as_deref(), placement, &named.name, partition);
        let (error_code, message) = outcome(&result);
        ReassignablePartitionResponse::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(error_code)
            .with_error_message(message)
    });
    ReassignableTopicResponse::default()
        .with_name(named.name.clone())
        .with_partitions(partitions.collect())
}

fn judge(
    topic: Result<&Topic, &ResponseError>,
    placement: &Placement,
    name: &str,
    wanted: &ReassignablePartition,
) -> Result<(), Refusal> {
    let index = PartitionIndex(wanted.partition_index);
    let unknown = |message| Refusal(ResponseError::UnknownTopicOrPartition, message);
    let topic = topic.map_err(|error| match error {
        ResponseError::UnknownTopicOrPartition => unknown(format!("Unable to find a topic named {name}.")),
        error => Refusal::plain(*error),
    })?;
    if !topic.has_partition(index) {
        return Err(unknown(format!("Unable to find partition {name}:{index}.")));
    }
    let Some(replicas) = &wanted.replicas else {
        let message = "No partition reassignment is in progress.";
        return Err(Refusal::new(ResponseError::NoReassignmentInProgress, message));
    };
    let wanted: Vec<NodeId> = replicas.iter().map(|id| NodeId(id.0)).collect();
    if wanted == placement.replicas(topic.id, index) {
        return Ok(());
    }
    let message = "Partitions are not assigned to brokers here: any broker serves any partition.";
    Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metastore::{LiveAgent, TopicSettings};
    use types::{TopicId, TopicName, TopicNumber};
    use uuid::Uuid;

    #[test]
    fn only_what_is_so_already_is_granted() {
        let topic = Topic {
            number: TopicNumber(1),
            id: TopicId(Uuid::from_u128(1)),
            name: TopicName::new("t").unwrap(),
            partition_count: 1,
            settings: TopicSettings::default(),
        };
        let agent = LiveAgent {
            node_id: NodeId(5),
            host: "a".to_owned(),
            port: 1,
            rack: String::new(),
            cache_url: String::new(),
            listeners: Vec::new(),
            peer_address: String::new(),
        };
        let placement = Placement::new(&[agent], None);
        let judge = |topic, index, replicas: Option<Vec<i32>>| {
            let replicas = replicas.map(|ids| ids.into_iter().map(Into::into).collect());
            let wanted = ReassignablePartition::default()
                .with_partition_index(index)
                .with_replicas(replicas);
            judge(topic, &placement, "t", &wanted).map_err(|refusal| refusal.0)
        };
        assert_eq!(judge(Ok(&topic), 0, Some(vec![5])), Ok(()));
        let refused = Err(ResponseError::InvalidReplicaAssignment);
        assert_eq!(judge(Ok(&topic), 0, Some(vec![6])), refused);
        assert_eq!(judge(Ok(&topic), 0, None), Err(ResponseError::NoReassignmentInProgress));
        let unknown = Err(ResponseError::UnknownTopicOrPartition);
        assert_eq!(judge(Ok(&topic), 1, Some(vec![5])), unknown);
        assert_eq!(
            judge(Err(&ResponseError::UnknownTopicOrPartition), 0, Some(vec![5])),
            unknown
        );
    }
}
