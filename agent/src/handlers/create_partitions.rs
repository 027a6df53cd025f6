//! CreatePartitions (KIP-195): topics grow, each with its own result, refused for the reasons Kafka refuses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName as WireTopicName};
use metastore::{Growth, MetastoreError, TopicInfo};
use types::TopicName;
use types::limits::PARTITIONS_PER_TOPIC_MAX;

use super::wire::{Refusal, outcome, parse_topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, of_metastore};

/// Lets topics grow, or with `validate_only` says what would become of them.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut named: BTreeMap<WireTopicName, Vec<CreatePartitionsTopic>> = BTreeMap::new();
    for topic in request.topics {
        named.entry(topic.name.clone()).or_default().push(topic);
    }
    let found = find(broker, named.keys()).await;
    let mut results = Vec::with_capacity(named.len());
    for (name, wanted) in &named {
        let result = match (&wanted[..], &found) {
            ([_], Err(error)) => Err(unavailable(error)),
            ([topic], Ok(found)) => grow(broker, topic, found, request.validate_only).await,
            _ => Err(Refusal::new(ResponseError::InvalidRequest, "Duplicate topic name.")),
        };
        let (error_code, message) = outcome(&result);
        results.push(
            CreatePartitionsTopicResult::default()
                .with_name(name.clone())
                .with_error_code(error_code)
                .with_error_message(message),
        );
    }
    if !request.validate_only {
        // So that this agent's clients see them at once; if this fails they see them within a second of Postgres's return.
        let _ = broker.cluster.renewed().await;
    }
    CreatePartitionsResponse::default().with_results(results)
}

async fn find(
    broker: &Broker,
    names: impl Iterator<Item = &WireTopicName>,
) -> Result<BTreeMap<TopicName, TopicInfo>, MetastoreError> {
    let names: Vec<_> = names.filter_map(|name| parse_topic_name(name).ok()).collect();
    let topics = broker.metastore.topics_by_name(&names).await?.into_iter();
    Ok(topics.map(|topic| (topic.name.clone(), topic)).collect())
}

async fn grow(
    broker: &Broker,
    wanted: &CreatePartitionsTopic,
    found: &BTreeMap<TopicName, TopicInfo>,
    validate_only: bool,
) -> Result<(), Refusal> {
    let name = parse_topic_name(&wanted.name).ok();
    let topic = name.and_then(|name| found.get(&name)).ok_or_else(unknown)?;
    check(wanted, topic.partition_count)?;
    if validate_only {
        return Ok(());
    }
    match broker.metastore.add_partitions(topic.id, wanted.count).await {
        Ok(Some(Growth::Grown)) => {
            tracing::info!(topic.name = %topic.name, partitions = wanted.count, "partitions added");
            Ok(())
        }
        // Somebody else was quicker.
        Ok(Some(Growth::NotMore(current))) => check(wanted, current),
        Ok(None) => Err(unknown()),
        Err(error) => {
            tracing::warn!(topic.name = %topic.name, %error, "partitions cannot be added");
            Err(unavailable(&error))
        }
    }
}

fn check(wanted: &CreatePartitionsTopic, current: i32) -> Result<(), Refusal> {
    let (name, count) = (wanted.name.as_str(), wanted.count);
    let refuse = |message: String| Err(Refusal(ResponseError::InvalidPartitions, message));
    if count == current {
        return refuse(format!("Topic already has {current} partition(s)."));
    }
    if count < current {
        return refuse(format!(
            "The topic {name} currently has {current} partition(s); {count} would not be an increase."
        ));
    }
    if count > PARTITIONS_PER_TOPIC_MAX {
        return refuse(format!(
            "Number of partitions must not be larger than {PARTITIONS_PER_TOPIC_MAX}."
        ));
    }
    check_assignments(wanted, count - current)
}

/// Nobody is assigned anything here; a wish is checked as far as it can be wrong in itself.
fn check_assignments(wanted: &CreatePartitionsTopic, additional: i32) -> Result<(), Refusal> {
    let Some(assignments) = &wanted.assignments else {
        return Ok(());
    };
    let refuse = |message: String| Err(Refusal(ResponseError::InvalidReplicaAssignment, message));
    if usize::try_from(additional).is_ok_and(|additional| additional != assignments.len()) {
        return refuse(format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        ));
    }
    if assignments.iter().any(|assignment| assignment.broker_ids.is_empty()) {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    Ok(())
}

fn unknown() -> Refusal {
    Refusal::plain(ResponseError::UnknownTopicOrPartition)
}

fn unavailable(error: &MetastoreError) -> Refusal {
    // A retry then hears that the topic has as many partitions already.
    Refusal::new(
        of_metastore(error, Asked::TopicChange),
        "The metadata store is not available.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::text;
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;

    fn to(count: i32) -> CreatePartitionsTopic {
        CreatePartitionsTopic::default()
            .with_name(text("t").into())
            .with_count(count)
            .with_assignments(None)
    }

    #[test]
    fn a_topic_only_grows() {
        let message = |count| check(&to(count), 3).unwrap_err().1;
        assert_eq!(check(&to(4), 3), Ok(()));
        assert_eq!(message(3), "Topic already has 3 partition(s).");
        assert!(message(2).contains("2 would not be an increase"));
        assert!(message(-1).contains("-1 would not be an increase"));
        assert!(message(PARTITIONS_PER_TOPIC_MAX + 1).contains("must not be larger"));
    }

    #[test]
    fn assignments_are_as_many_as_partitions_are_added() {
        let assigned = |brokers: &[&[i32]]| {
            let assignment = |ids: &&[i32]| {
                CreatePartitionsAssignment::default().with_broker_ids(ids.iter().map(|id| (*id).into()).collect())
            };
            check(
                &to(5).with_assignments(Some(brokers.iter().map(assignment).collect())),
                3,
            )
        };
        assert_eq!(assigned(&[&[1], &[2, 1]]), Ok(()));
        for wrong in [&[&[1][..]][..], &[&[1], &[]], &[]] {
            assert_eq!(
                assigned(wrong).unwrap_err().0,
                ResponseError::InvalidReplicaAssignment,
                "{wrong:?}"
            );
        }
    }
}
