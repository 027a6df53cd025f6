//! Metadata (KIP-4, KIP-516): brokers, and topics with their partitions.
//!
//! Every live agent is a broker and any of them serves any partition; `placement` says whom a client is sent to. A topic
//! is called unknown only when Postgres has said so; while it cannot be asked the client is told to try again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use metastore::{NewTopic, TopicCreation, TopicSettings};
use tokio::time::timeout;
use types::{TopicId, TopicName};
use uuid::Uuid;

use super::wire::{
    CLUSTER_OPERATIONS, NO_ERROR, TOPIC_OPERATIONS, broker_id, operations, parse_topic_name, text, topic_name,
};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::placement::{AdvertisedBroker, Placement};
use crate::cluster::view::{ClusterSnapshot, Topic};
use crate::error::{Asked, of_metastore, of_topic_name};
use crate::leader_epoch::LEADER_EPOCH;

/// Up to this version an empty list of topics means all of them; later null does.
const EMPTY_MEANS_ALL_UNTIL: i16 = 0;
/// First version that says whether topics may be created; before, they may.
const AUTO_CREATION_SINCE: i16 = 4;
/// First version whose answer may lack a topic's name.
const NULLABLE_NAME_SINCE: i16 = 12;

/// How long a client that asks for all topics waits for an up-to-date list before it gets the one we have.
const ALL_TOPICS_WAIT: Duration = Duration::from_millis(500);

/// Most topics that one question creates; the others are there to be asked for again.
const AUTO_CREATED_MAX: usize = 1000;

/// A topic as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Wanted {
    Name(TopicName),
    Id(TopicId),
    /// No legal name.
    Illegal(StrBytes),
}

/// What there is to say about it.
type Found = Result<Arc<Topic>, ResponseError>;

/// Answers with all live agents and the topics asked for.
pub async fn handle(broker: &Arc<Broker>, client: &Client, version: i16, request: MetadataRequest) -> MetadataResponse {
    let answers = match wanted(version, request.topics.as_deref()) {
        None => all_topics(broker).await,
        Some(wanted) => {
            let create = version < AUTO_CREATION_SINCE || request.allow_auto_topic_creation;
            find(broker, wanted, create && broker.topic_defaults.auto_create).await
        }
    };
    let placement = broker.placement(client);
    let topic_operations = operations(request.include_topic_authorized_operations, TOPIC_OPERATIONS);
    let topics = answers.iter().map(|(wanted, found)| match found {
        Ok(topic) => describe(topic, &placement).with_topic_authorized_operations(topic_operations),
        Err(error) => failed(wanted, *error, version),
    });
    MetadataResponse::default()
        .with_brokers(placement.brokers().iter().map(describe_broker).collect())
        .with_cluster_id(Some(text(&broker.cluster.cluster_id().to_string())))
        .with_controller_id(broker_id(placement.controller()))
        .with_topics(topics.collect())
        .with_cluster_authorized_operations(operations(
            request.include_cluster_authorized_operations,
            CLUSTER_OPERATIONS,
        ))
}

/// The topics a request names, each once; `None`: all there are.
fn wanted(version: i16, topics: Option<&[MetadataRequestTopic]>) -> Option<Vec<Wanted>> {
    let topics = topics?;
    if topics.is_empty() && version <= EMPTY_MEANS_ALL_UNTIL {
        return None;
    }
    let mut seen = HashSet::new();
    Some(
        topics
            .iter()
            .map(wanted_topic)
            .filter(|wanted| seen.insert(wanted.clone()))
            .collect(),
    )
}

fn wanted_topic(topic: &MetadataRequestTopic) -> Wanted {
    match &topic.name {
        Some(name) if topic.topic_id == Uuid::nil() => match parse_topic_name(name) {
            Ok(name) => Wanted::Name(name),
            Err(_) => Wanted::Illegal(name.0.clone()),
        },
        Some(_) | None => Wanted::Id(TopicId(topic.topic_id)),
    }
}

async fn all_topics(broker: &Broker) -> Vec<(Wanted, Found)> {
    let snapshot = match timeout(ALL_TOPICS_WAIT, broker.cluster.renewed()).await {
        Ok(Ok(renewed)) => renewed,
        Ok(Err(_)) | Err(_) => broker.cluster.snapshot(),
    };
    snapshot
        .topics()
        .map(|topic| (Wanted::Id(topic.id), Ok(Arc::clone(topic))))
        .collect()
}

async fn find(broker: &Broker, wanted: Vec<Wanted>, create: bool) -> Vec<(Wanted, Found)> {
    let known = |snapshot: &ClusterSnapshot| wanted.iter().all(|wanted| look_up(snapshot, wanted).is_some());
    let (snapshot, failure) = match broker.cluster.with(known).await {
        Ok(snapshot) => (snapshot, None),
        Err(error) => (broker.cluster.snapshot(), Some(of_metastore(&error, Asked::Topics))),
    };
    let mut answers: Vec<(Wanted, Found)> = wanted
        .into_iter()
        .map(|wanted| {
            let found = look_up(&snapshot, &wanted).unwrap_or_else(|| Err(failure.unwrap_or(unknown(&wanted))));
            (wanted, found)
        })
        .collect();
    if create && failure.is_none() {
        create_missing(broker, &mut answers).await;
    }
    answers
}

fn look_up(snapshot: &ClusterSnapshot, wanted: &Wanted) -> Option<Found> {
    match wanted {
        Wanted::Name(name) => snapshot.topic_by_name(name).cloned().map(Ok),
        Wanted::Id(id) => snapshot.topic_by_id(*id).cloned().map(Ok),
        Wanted::Illegal(name) => TopicName::new(name).err().map(|error| Err(of_topic_name(&error))),
    }
}

fn unknown(wanted: &Wanted) -> ResponseError {
    match wanted {
        Wanted::Id(_) => ResponseError::UnknownTopicId,
        Wanted::Name(_) | Wanted::Illegal(_) => ResponseError::UnknownTopicOrPartition,
    }
}

/// Creates the topics that are asked for by name and do not exist.
async fn create_missing(broker: &Broker, answers: &mut [(Wanted, Found)]) {
    let (new, missing): (Vec<NewTopic>, Vec<&mut Found>) = answers
        .iter_mut()
        .filter_map(|(wanted, found)| match wanted {
            Wanted::Name(name) if found.is_err() => Some((new_topic(broker, name), found)),
            Wanted::Name(_) | Wanted::Id(_) | Wanted::Illegal(_) => None,
        })
        .take(AUTO_CREATED_MAX)
        .unzip();
    if new.is_empty() {
        return;
    }
    match broker.metastore.create_topics(&new).await {
        Ok(results) => {
            for (found, result) in missing.into_iter().zip(results) {
                *found = created(result);
            }
            // So that the Produce that follows finds them; if this fails it looks for itself.
            let _ = broker.cluster.renewed().await;
        }
        Err(error) => {
            tracing::warn!(%error, "topics cannot be created on demand");
            for found in missing {
                *found = Err(of_metastore(&error, Asked::Topics));
            }
        }
    }
}

fn new_topic(broker: &Broker, name: &TopicName) -> NewTopic {
    NewTopic {
        name: name.clone(),
        partition_count: broker.topic_defaults.partition_count,
        settings: TopicSettings::default(),
    }
}

fn created(result: TopicCreation) -> Found {
    match result {
        TopicCreation::Created(topic) => {
            tracing::info!(topic.name = %topic.name, partitions = topic.partition_count, "topic created on demand");
            Ok(Arc::new(topic))
        }
        TopicCreation::AlreadyExists(topic) => Ok(Arc::new(topic)),
        TopicCreation::Collides(_) => Err(ResponseError::InvalidTopicException),
    }
}

fn describe(topic: &Topic, placement: &Placement) -> MetadataResponseTopic {
    let replicas = placement.replicas_of(topic.id, topic.partition_count);
    let partitions = replicas.iter().zip(0..).map(|(replicas, index)| {
        let replicas: Vec<BrokerId> = replicas.iter().copied().map(broker_id).collect();
        MetadataResponsePartition::default()
            .with_error_code(NO_ERROR)
            .with_partition_index(index)
            .with_leader_id(replicas[0])
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas)
    });
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id.0)
        .with_partitions(partitions.collect())
}

fn failed(wanted: &Wanted, error: ResponseError, version: i16) -> MetadataResponseTopic {
    let nameless = (version < NULLABLE_NAME_SINCE).then(|| StrBytes::default().into());
    let (name, id) = match wanted {
        Wanted::Name(name) => (Some(topic_name(name)), Uuid::nil()),
        Wanted::Illegal(name) => (Some(name.clone().into()), Uuid::nil()),
        Wanted::Id(id) => (nameless, id.0),
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name)
        .with_topic_id(id)
}

fn describe_broker(broker: &AdvertisedBroker) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(broker_id(broker.id))
        .with_host(text(&broker.host))
        .with_port(i32::from(broker.port))
        .with_rack(broker.rack.as_deref().map(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> MetadataRequestTopic {
        MetadataRequestTopic::default().with_name(Some(text(name).into()))
    }

    #[test]
    fn no_topics_means_all_in_version_0_and_none_later() {
        assert_eq!(wanted(0, Some(&[])), None);
        assert_eq!(wanted(1, Some(&[])), Some(vec![]));
        assert_eq!(wanted(1, None), None);
    }

    #[test]
    fn a_topic_is_answered_once_however_often_it_is_named() {
        let topics = [named("a"), named("b"), named("a"), named("b b"), named("b b")];
        assert_eq!(wanted(9, Some(&topics)).unwrap().len(), 3);
    }

    #[test]
    fn a_topic_id_goes_before_a_name() {
        let id = Uuid::from_u128(5);
        assert_eq!(wanted_topic(&named("a").with_topic_id(id)), Wanted::Id(TopicId(id)));
        assert_eq!(
            wanted_topic(&MetadataRequestTopic::default().with_name(None)),
            Wanted::Id(TopicId(Uuid::nil()))
        );
    }
}
