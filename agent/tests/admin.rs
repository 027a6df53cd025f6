//! Topics, brokers, groups and producer ids as clients see them, on a real Postgres.

mod support;

use agent::handlers::{
    create_topics, delete_topics, find_coordinator, init_producer_id, metadata, offset_commit, offset_fetch,
};
use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest,
    MetadataResponse, OffsetCommitRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use support::{TestAgent, client, client_named};
use uuid::Uuid;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn by_name(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(text(name).into()))
}

fn by_id(id: Uuid) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(None).with_topic_id(id)
}

fn asking(topics: Vec<MetadataRequestTopic>, create: bool) -> MetadataRequest {
    MetadataRequest::default()
        .with_topics(Some(topics))
        .with_allow_auto_topic_creation(create)
}

async fn ask(agent: &TestAgent, version: i16, request: MetadataRequest) -> MetadataResponse {
    metadata::handle(&agent.broker, &client(), version, request).await
}

async fn ask_one(agent: &TestAgent, topic: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    ask(agent, 12, asking(vec![topic], create)).await.topics.remove(0)
}

fn new_topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(text(name).into())
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

async fn create(agent: &TestAgent, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_validate_only(validate_only);
    create_topics::handle(&agent.broker, &client(), 7, request).await.topics
}

fn error_of(topic: &CreatableTopicResult) -> Option<ResponseError> {
    ResponseError::try_from_code(topic.error_code)
}

#[tokio::test]
async fn metadata_shows_every_partition_with_a_live_leader_and_the_cluster_id() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("t", 3)], false).await;
    let response = ask(&agent, 12, asking(vec![by_name("t")], false)).await;
    let brokers: Vec<_> = response.brokers.iter().map(|broker| broker.node_id).collect();
    let topic = &response.topics[0];
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 3));
    for partition in &topic.partitions {
        assert!(brokers.contains(&partition.leader_id));
        assert_eq!(
            (partition.replica_nodes.clone(), partition.isr_nodes.clone()),
            (vec![partition.leader_id], vec![partition.leader_id])
        );
        assert!(partition.offline_replicas.is_empty());
        assert_eq!((partition.leader_epoch, partition.error_code), (0, 0));
    }
    assert!(brokers.contains(&response.controller_id));
    assert_eq!(
        response.cluster_id.unwrap().to_string(),
        agent.broker.cluster.cluster_id().to_string()
    );
    assert_eq!(topic.topic_authorized_operations, i32::MIN);
}

#[tokio::test]
async fn null_asks_for_all_topics_and_an_empty_list_for_none() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("a", 1), new_topic("b", 1)], false).await;
    assert_eq!(
        ask(&agent, 1, MetadataRequest::default().with_topics(None))
            .await
            .topics
            .len(),
        2
    );
    assert!(ask(&agent, 1, asking(vec![], true)).await.topics.is_empty());
    assert_eq!(ask(&agent, 0, asking(vec![], true)).await.topics.len(), 2);
}

#[tokio::test]
async fn an_unknown_topic_is_created_when_client_and_setting_allow_it() {
    let agent = TestAgent::start().await;
    let unknown = ask_one(&agent, by_name("new"), false).await;
    assert_eq!(unknown.error_code, ResponseError::UnknownTopicOrPartition.code());
    let created = ask_one(&agent, by_name("new"), true).await;
    assert_eq!(
        (created.error_code, created.partitions.len()),
        (0, support::PARTITIONS_DEFAULT)
    );
    assert_eq!(ask_one(&agent, by_name("new"), false).await.topic_id, created.topic_id);
    let strict = TestAgent::start_with(|broker| broker.topic_defaults.auto_create = false).await;
    assert_eq!(
        ask_one(&strict, by_name("new"), true).await.error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
}

#[tokio::test]
async fn a_name_that_cannot_be_a_topic_is_refused_without_failing_its_neighbour() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("a.b", 1)], false).await;
    let response = ask(
        &agent,
        12,
        asking(vec![by_name("a b"), by_name("a_b"), by_name("a.b")], true),
    )
    .await;
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    let invalid = ResponseError::InvalidTopicException.code();
    assert_eq!(codes, [invalid, invalid, 0]);
}

#[tokio::test]
async fn topics_are_found_by_id_and_unknown_ids_are_told_apart() {
    let agent = TestAgent::start().await;
    let created = create(&agent, vec![new_topic("t", 1)], false).await.remove(0);
    let found = ask_one(&agent, by_id(created.topic_id), false).await;
    assert_eq!(found.name.unwrap().as_str(), "t");
    let unknown = ask_one(&agent, by_id(Uuid::from_u128(1)), true).await;
    assert_eq!(
        (unknown.error_code, unknown.name),
        (ResponseError::UnknownTopicId.code(), None)
    );
}

#[tokio::test]
async fn a_topic_another_agent_created_is_found_at_once() {
    let agent = TestAgent::start().await;
    let other = agent.beside().await;
    create(&other, vec![new_topic("t", 1)], false).await;
    assert_eq!(ask_one(&agent, by_name("t"), false).await.error_code, 0);
}

#[tokio::test]
async fn all_live_agents_are_brokers_and_lead_the_clients_of_their_zone() {
    let agent = TestAgent::start().await;
    let other = agent.beside().await;
    create(&other, vec![new_topic("t", 40)], false).await;
    agent.broker.cluster.renewed().await.unwrap();
    let zone = client_named(&format!("app,zone={}", other.rack));
    let response = metadata::handle(&agent.broker, &zone, 12, asking(vec![by_name("t")], false)).await;
    assert_eq!(response.brokers.len(), 2);
    let leaders = response.topics[0]
        .partitions
        .iter()
        .map(|partition| partition.leader_id.0);
    assert!(
        leaders
            .into_iter()
            .all(|leader| leader == other.broker.cluster.node_id().0)
    );
}

#[tokio::test]
async fn what_is_known_is_answered_and_what_is_not_is_retriable_while_postgres_is_away() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("known", 1)], false).await;
    agent.broker.metastore.close().await;
    let response = ask(&agent, 12, asking(vec![by_name("known"), by_name("other")], true)).await;
    assert_eq!(response.topics[0].error_code, 0);
    assert_eq!(response.topics[1].error_code, ResponseError::LeaderNotAvailable.code());
    assert_eq!(
        ask(&agent, 12, MetadataRequest::default().with_topics(None))
            .await
            .topics
            .len(),
        1
    );
    let refused = create(&agent, vec![new_topic("new", 1)], false).await;
    assert!(error_of(&refused[0]).unwrap().is_retriable());
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let response = init_producer_id::handle(&agent.broker, &client(), 4, request).await;
    assert_eq!(response.error_code, ResponseError::CoordinatorNotAvailable.code());
}

#[tokio::test]
async fn created_topics_answer_with_everything_kip_525_asks_for() {
    let agent = TestAgent::start().await;
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("60000")));
    let topic = new_topic("t", -1).with_replication_factor(3).with_configs(vec![config]);
    let created = create(&agent, vec![topic], false).await.remove(0);
    assert_eq!(error_of(&created), None);
    assert_eq!(
        created.num_partitions,
        i32::try_from(support::PARTITIONS_DEFAULT).unwrap()
    );
    assert_eq!(created.replication_factor, 1);
    assert!(!created.topic_id.is_nil());
    let configs = created.configs.unwrap();
    assert!(
        configs
            .iter()
            .any(|config| config.name.as_str() == "retention.ms" && config.value == Some(text("60000")))
    );
    assert!(configs.iter().any(|config| config.name.as_str() == "compression.type"));
}

#[tokio::test]
async fn validating_creates_nothing_and_tells_what_is_in_the_way() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("there", 1)], false).await;
    let results = create(&agent, vec![new_topic("there", 1), new_topic("fine", 2)], true).await;
    assert_eq!(error_of(&results[0]), Some(ResponseError::TopicAlreadyExists));
    assert_eq!((error_of(&results[1]), results[1].num_partitions), (None, 2));
    assert_eq!(
        ask_one(&agent, by_name("fine"), false).await.error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
}

#[tokio::test]
async fn each_topic_to_be_created_has_its_own_result() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("there", 1), new_topic("a.b", 1)], false).await;
    let topics = ["there", "a_b", "twice", "twice", "good"].map(|name| new_topic(name, 1));
    let results = create(&agent, topics.into(), false).await;
    let error = |name: &str| error_of(results.iter().find(|topic| topic.name.as_str() == name).unwrap());
    assert_eq!(results.len(), 4);
    assert_eq!(error("there"), Some(ResponseError::TopicAlreadyExists));
    assert_eq!(error("a_b"), Some(ResponseError::InvalidTopicException));
    assert_eq!(error("twice"), Some(ResponseError::InvalidRequest));
    assert_eq!(error("good"), None);
}

#[tokio::test]
async fn one_request_cannot_create_more_partitions_than_one_topic_may_have() {
    let agent = TestAgent::start().await;
    let results = create(&agent, vec![new_topic("a", 6_000), new_topic("b", 6_000)], false).await;
    assert!(
        results
            .iter()
            .all(|topic| error_of(topic) == Some(ResponseError::PolicyViolation))
    );
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let agent = TestAgent::start().await;
    let created = create(&agent, vec![new_topic("a", 1), new_topic("b", 1)], false).await;
    let names = ["a", "none"].map(|name| text(name).into());
    let request = DeleteTopicsRequest::default().with_topic_names(names.into());
    let mut responses = delete_topics::handle(&agent.broker, &client(), 5, request)
        .await
        .responses;
    responses.sort_by_key(|topic| topic.error_code);
    let codes: Vec<_> = responses.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, ResponseError::UnknownTopicOrPartition.code()]);
    let id = created
        .iter()
        .find(|topic| topic.name.as_str() == "b")
        .unwrap()
        .topic_id;
    let state = || DeleteTopicState::default().with_name(None).with_topic_id(id);
    for expected in [0, ResponseError::UnknownTopicId.code()] {
        let request = DeleteTopicsRequest::default().with_topics(vec![state()]);
        let response = delete_topics::handle(&agent.broker, &client(), 6, request).await;
        assert_eq!(response.responses[0].error_code, expected);
    }
    assert!(
        ask(&agent, 12, MetadataRequest::default().with_topics(None))
            .await
            .topics
            .is_empty()
    );
}

#[tokio::test]
async fn a_group_and_a_producer_are_served_and_transactions_refused() {
    let agent = TestAgent::start().await;
    let request = FindCoordinatorRequest::default().with_key(text("g"));
    let response = find_coordinator::handle(&agent.broker, &client(), 3, request).await;
    assert_eq!(
        (response.error_code, response.node_id.0),
        (0, agent.broker.cluster.node_id().0)
    );
    let request = FindCoordinatorRequest::default()
        .with_key_type(0)
        .with_coordinator_keys(vec![text("g"), text("")]);
    let response = find_coordinator::handle(&agent.broker, &client(), 4, request).await;
    let codes: Vec<_> = response
        .coordinators
        .iter()
        .map(|coordinator| coordinator.error_code)
        .collect();
    assert_eq!(codes, [0, ResponseError::InvalidGroupId.code()]);
    let mut ids = Vec::new();
    for transactional_id in [None, None, Some(text("tx").into())] {
        let request = InitProducerIdRequest::default().with_transactional_id(transactional_id);
        ids.push(init_producer_id::handle(&agent.broker, &client(), 4, request).await);
    }
    assert!(ids[0].producer_id.0 >= 0 && ids[0].producer_id != ids[1].producer_id);
    assert_eq!((ids[0].producer_epoch, ids[0].error_code), (0, 0));
    assert_eq!(
        (ids[2].producer_id.0, ids[2].error_code),
        (-1, ResponseError::TransactionalIdAuthorizationFailed.code())
    );
}

fn committing(offset: i64) -> OffsetCommitRequest {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("seen")))
    };
    let topic = |name: &str| {
        OffsetCommitRequestTopic::default()
            .with_name(text(name).into())
            .with_partitions(vec![partition(0), partition(9)])
    };
    OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic("t"), topic("none")])
}

#[tokio::test]
async fn offsets_are_committed_per_partition_and_fetched_again() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("t", 1)], false).await;
    let response = offset_commit::handle(&agent.broker, &client(), 7, committing(42)).await;
    let codes = response
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code));
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes.collect::<Vec<_>>(), [0, unknown, unknown, unknown]);

    let topic = OffsetFetchRequestTopic::default()
        .with_name(text("t").into())
        .with_partition_indexes(vec![0, 9]);
    let request = OffsetFetchRequest::default()
        .with_group_id(text("g").into())
        .with_topics(Some(vec![topic]));
    let fetched = offset_fetch::handle(&agent.broker, &client(), 5, request).await;
    let partitions = &fetched.topics[0].partitions;
    assert_eq!(
        (partitions[0].committed_offset, partitions[0].metadata.clone()),
        (42, Some(text("seen")))
    );
    assert_eq!(
        (partitions[1].committed_offset, partitions[1].metadata.clone()),
        (-1, Some(text("")))
    );
    assert!(partitions.iter().all(|partition| partition.error_code == 0));
}

#[tokio::test]
async fn several_groups_are_fetched_at_once_and_null_means_all_topics() {
    let agent = TestAgent::start().await;
    create(&agent, vec![new_topic("t", 1)], false).await;
    offset_commit::handle(&agent.broker, &client(), 7, committing(7)).await;
    let group = |id: &str, topics| {
        OffsetFetchRequestGroup::default()
            .with_group_id(text(id).into())
            .with_topics(topics)
    };
    let topic = OffsetFetchRequestTopics::default()
        .with_name(text("t").into())
        .with_partition_indexes(vec![0]);
    let groups = vec![group("g", None), group("stranger", Some(vec![topic]))];
    let response = offset_fetch::handle(
        &agent.broker,
        &client(),
        8,
        OffsetFetchRequest::default().with_groups(groups),
    )
    .await;
    let offsets: Vec<_> = response
        .groups
        .iter()
        .map(|group| group.topics[0].partitions[0].committed_offset)
        .collect();
    assert_eq!(offsets, [7, -1]);
}

/// Whether an answer can be sent in this version: none of its fields may be unknown there.
fn assert_sendable(answer: &impl Encodable, version: i16) {
    let sent = answer.encode(&mut BytesMut::new(), version);
    assert!(sent.is_ok(), "version {version}: {sent:?}");
}

#[tokio::test]
async fn metadata_and_coordinators_can_be_sent_in_every_version() {
    let agent = TestAgent::start().await;
    let id = create(&agent, vec![new_topic("t", 2)], false).await[0].topic_id;
    for version in 0..=13 {
        let mut topics = vec![by_name("t"), by_name("none"), by_name("a b")];
        if version >= 10 {
            topics.extend([by_id(id), by_id(Uuid::from_u128(1))]);
        }
        let request = asking(topics, version < 4)
            .with_include_topic_authorized_operations(version >= 8)
            .with_include_cluster_authorized_operations((8..=10).contains(&version));
        assert_sendable(&ask(&agent, version, request).await, version);
    }
    for version in 0..=6 {
        let (key, keys) = if version < 4 {
            (text("g"), vec![])
        } else {
            (text(""), vec![text("g"), text("")])
        };
        let request = FindCoordinatorRequest::default()
            .with_key(key)
            .with_coordinator_keys(keys);
        assert_sendable(
            &find_coordinator::handle(&agent.broker, &client(), version, request).await,
            version,
        );
    }
}
