//! Topics that grow and settings that change, as clients of several agents see them, on a real Postgres.

mod support;

use std::collections::BTreeSet;

use agent::handlers::{
    alter_configs, create_partitions, describe_cluster, describe_configs, describe_log_dirs, describe_topic_partitions,
    incremental_alter_configs, list_config_resources, metadata,
};
use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_request as whole;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    MetadataRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use metastore::{NewTopic, TopicSettings};
use support::{TestAgent, client, topic};
use types::{PartitionIndex, TopicName};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn to(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default()
        .with_name(text(name).into())
        .with_count(count)
        .with_assignments(None)
}

async fn grow(agent: &TestAgent, topics: Vec<CreatePartitionsTopic>, validate_only: bool) -> Vec<i16> {
    let request = CreatePartitionsRequest::default()
        .with_topics(topics)
        .with_validate_only(validate_only);
    let response = create_partitions::handle(&agent.broker, &client(), 3, request).await;
    response.results.iter().map(|result| result.error_code).collect()
}

async fn describe(agent: &TestAgent, kind: i8, name: &str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    let mut response = describe_configs::handle(&agent.broker, &client(), 4, request).await;
    response.results.remove(0)
}

/// Value and source of a topic's setting.
async fn setting(agent: &TestAgent, topic: &str, name: &str) -> (String, i8) {
    let described = describe(agent, TOPIC, topic).await;
    let config = described
        .configs
        .iter()
        .find(|config| config.name.as_str() == name)
        .expect("it is described");
    (
        config.value.as_deref().unwrap_or_default().to_owned(),
        config.config_source,
    )
}

fn wish(operation: i8, name: &str, value: &str) -> AlterableConfig {
    AlterableConfig::default()
        .with_name(text(name))
        .with_config_operation(operation)
        .with_value(Some(text(value)))
}

async fn alter(agent: &TestAgent, kind: i8, name: &str, wishes: Vec<AlterableConfig>, validate_only: bool) -> i16 {
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(wishes);
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(validate_only);
    let response = incremental_alter_configs::handle(&agent.broker, &client(), 1, request).await;
    response.responses[0].error_code
}

#[tokio::test]
async fn a_topic_that_grew_through_one_agent_has_its_partitions_at_every_other_one_at_once() {
    let agent = TestAgent::start().await;
    let other = agent.beside().await;
    topic(&agent.broker.metastore, "t").await;
    agent.broker.cluster.renewed().await.unwrap();
    assert_eq!(grow(&other, vec![to("t", 5)], false).await, [0]);
    let name = TopicName::new("t").unwrap();
    let cluster = &agent.broker.cluster;
    let found = cluster
        .find_topic_with(|snapshot| snapshot.topic_by_name(&name), PartitionIndex(4))
        .await;
    assert_eq!(found.unwrap().unwrap().partition_count, 5);
}

#[tokio::test]
async fn each_topic_to_grow_has_its_own_result_and_validating_changes_nothing() {
    let agent = TestAgent::start().await;
    for name in ["a", "b", "c"] {
        topic(&agent.broker.metastore, name).await;
    }
    let wanted = || vec![to("a", 3), to("b", 1), to("c", 2), to("c", 3), to("none", 2)];
    let expected = [
        0,
        ResponseError::InvalidPartitions.code(),
        ResponseError::InvalidRequest.code(),
        ResponseError::UnknownTopicOrPartition.code(),
    ];
    for validate_only in [true, true, false] {
        assert_eq!(grow(&agent, wanted(), validate_only).await, expected);
    }
    assert_eq!(
        grow(&agent, vec![to("a", 3)], false).await,
        [ResponseError::InvalidPartitions.code()]
    );
}

#[tokio::test]
async fn an_altered_setting_is_shown_at_once_everywhere_and_forgotten_when_deleted() {
    let agent = TestAgent::start().await;
    let other = agent.beside().await;
    topic(&agent.broker.metastore, "t").await;
    assert_eq!(setting(&agent, "t", "retention.ms").await, ("-1".to_owned(), 5));
    let wishes = || vec![wish(0, "retention.ms", "60000"), wish(2, "cleanup.policy", "compact")];
    assert_eq!(alter(&agent, TOPIC, "t", wishes(), true).await, 0);
    assert_eq!(setting(&agent, "t", "retention.ms").await.1, 5, "it was only validated");
    assert_eq!(alter(&agent, TOPIC, "t", wishes(), false).await, 0);
    assert_eq!(setting(&other, "t", "retention.ms").await, ("60000".to_owned(), 1));
    assert_eq!(setting(&other, "t", "cleanup.policy").await.0, "delete,compact");
    let name = TopicName::new("t").unwrap();
    let snapshot = other.broker.cluster.renewed().await.unwrap();
    assert_eq!(
        snapshot.topic_by_name(&name).unwrap().settings.0["retention.ms"],
        "60000"
    );
    assert_eq!(
        alter(&other, TOPIC, "t", vec![wish(1, "retention.ms", "")], false).await,
        0
    );
    assert_eq!(setting(&agent, "t", "retention.ms").await.1, 5);
}

#[tokio::test]
async fn of_many_alterations_at_once_none_is_lost() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    let names = [
        "retention.ms",
        "retention.bytes",
        "segment.ms",
        "flush.ms",
        "max.message.bytes",
    ];
    let altering = names.map(|name| alter(&agent, TOPIC, "t", vec![wish(0, name, "5000")], false));
    assert_eq!(futures::future::join_all(altering).await, [0; 5]);
    for name in names {
        assert_eq!(setting(&agent, "t", name).await, ("5000".to_owned(), 1), "{name}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_a_whole() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    let invalid = ResponseError::InvalidConfig.code();
    for wrong in [
        wish(0, "no.such", "1"),
        wish(0, "flush.ms", "x"),
        wish(2, "flush.ms", "1"),
    ] {
        let wishes = vec![wish(0, "retention.ms", "1"), wrong];
        assert_eq!(alter(&agent, TOPIC, "t", wishes, false).await, invalid);
    }
    let request = ResponseError::InvalidRequest.code();
    assert_eq!(
        alter(&agent, TOPIC, "t", vec![wish(9, "flush.ms", "1")], false).await,
        request
    );
    let twice = vec![wish(0, "flush.ms", "1"), wish(0, "flush.ms", "2")];
    assert_eq!(alter(&agent, TOPIC, "t", twice, false).await, request);
    assert_eq!(setting(&agent, "t", "retention.ms").await.1, 5);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(
        alter(&agent, TOPIC, "none", vec![wish(0, "flush.ms", "1")], false).await,
        unknown
    );
    assert_eq!(describe(&agent, TOPIC, "none").await.error_code, unknown);
}

#[tokio::test]
async fn the_agents_own_settings_are_shown_and_cannot_be_altered() {
    let agent = TestAgent::start().await;
    let own = agent.broker.cluster.node_id().to_string();
    let described = describe(&agent, BROKER, &own).await;
    assert!(described.configs.iter().all(|config| config.read_only));
    let id = described
        .configs
        .iter()
        .find(|config| config.name.as_str() == "node.id")
        .unwrap();
    assert_eq!(id.value.as_deref(), Some(own.as_str()));
    let refused = ResponseError::InvalidRequest.code();
    for (name, setting) in [
        (own.as_str(), "num.partitions"),
        ("", "num.partitions"),
        ("99", "num.partitions"),
    ] {
        assert_eq!(
            alter(&agent, BROKER, name, vec![wish(0, setting, "2")], false).await,
            refused,
            "{name}"
        );
    }
    assert_eq!(describe(&agent, BROKER, "99").await.error_code, refused);
    assert!(describe(&agent, BROKER, "").await.configs.is_empty());
}

#[tokio::test]
async fn the_older_way_of_altering_forgets_what_it_does_not_name() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    alter(&agent, TOPIC, "t", vec![wish(0, "retention.ms", "1")], false).await;
    let config = whole::AlterableConfig::default()
        .with_name(text("flush.ms"))
        .with_value(Some(text("7")));
    let resource = whole::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let send = async |resources| {
        let request = AlterConfigsRequest::default().with_resources(resources);
        let response = alter_configs::handle(&agent.broker, &client(), 2, request).await;
        response
            .responses
            .iter()
            .map(|resource| resource.error_code)
            .collect::<Vec<_>>()
    };
    assert_eq!(send(vec![resource.clone()]).await, [0]);
    assert_eq!(setting(&agent, "t", "flush.ms").await, ("7".to_owned(), 1));
    assert_eq!(setting(&agent, "t", "retention.ms").await.1, 5);
    assert_eq!(
        send(vec![resource.clone(), resource]).await,
        [ResponseError::InvalidRequest.code(); 2]
    );
}

#[tokio::test]
async fn every_log_is_told_of_by_exactly_one_agent() {
    let agent = TestAgent::start().await;
    let other = agent.beside().await;
    let new = NewTopic {
        name: TopicName::new("t").unwrap(),
        partition_count: 40,
        settings: TopicSettings::default(),
    };
    agent.broker.metastore.create_topics(&[new]).await.unwrap();
    agent.broker.cluster.renewed().await.unwrap();
    let mut told = Vec::new();
    for agent in [&agent, &other] {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let response = describe_log_dirs::handle(&agent.broker, &client(), 4, request).await;
        let place = &response.results[0];
        assert!(place.log_dir.starts_with("s3://") && place.error_code == 0);
        let of_topic = place.topics.iter().flat_map(|topic| &topic.partitions);
        let before = told.len();
        told.extend(of_topic.map(|partition| partition.partition_index));
        assert!(told.len() > before, "both lead some");
    }
    told.sort_unstable();
    assert_eq!(told, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn topics_are_described_page_by_page_as_metadata_describes_them() {
    let agent = TestAgent::start().await;
    for name in ["a", "b", "c"] {
        topic(&agent.broker.metastore, name).await;
        grow(&agent, vec![to(name, 3)], false).await;
    }
    let mut seen = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let named = ["c", "a", "none", "a"].map(|name| TopicRequest::default().with_name(text(name).into()));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(named.into())
            .with_response_partition_limit(2)
            .with_cursor(cursor.clone());
        let response = describe_topic_partitions::handle(&agent.broker, &client(), 0, request).await;
        for topic in &response.topics {
            let name = topic.name.clone().unwrap().to_string();
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            seen.push((name, topic.error_code, partitions.collect::<Vec<_>>()));
        }
        cursor = response.next_cursor.map(|next| {
            Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index)
        });
        if cursor.is_none() {
            break;
        }
    }
    let row = |name: &str, error, partitions: &[i32]| (name.to_owned(), error, partitions.to_vec());
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let expected = [
        row("a", 0, &[0, 1]),
        row("a", 0, &[2]),
        row("c", 0, &[0]),
        row("c", 0, &[1, 2]),
        row("none", unknown, &[]),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn resources_are_listed_by_type() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    let list = async |types: Vec<i8>| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types);
        let response = list_config_resources::handle(&agent.broker, &client(), 1, request).await;
        let resources = response.config_resources.iter();
        resources
            .map(|it| (it.resource_type, it.resource_name.to_string()))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(list(vec![TOPIC]).await, BTreeSet::from([(TOPIC, "t".to_owned())]));
    let own = agent.broker.cluster.node_id().to_string();
    assert_eq!(list(vec![BROKER]).await, BTreeSet::from([(BROKER, own)]));
    assert_eq!(list(vec![]).await.len(), 3, "the topic, the broker and its loggers");
}

#[tokio::test]
async fn operations_are_told_to_those_who_ask() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    for asked in [true, false] {
        let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(asked);
        let cluster = describe_cluster::handle(&agent.broker, &client(), 2, request).await;
        assert_eq!(cluster.cluster_authorized_operations != i32::MIN, asked);
        let request = MetadataRequest::default()
            .with_topics(None)
            .with_include_topic_authorized_operations(asked);
        let topics = metadata::handle(&agent.broker, &client(), 12, request).await.topics;
        assert_eq!(topics[0].topic_authorized_operations != i32::MIN, asked);
        assert!((1..=2).all(|version| cluster.encode(&mut BytesMut::new(), version).is_ok()));
    }
}
