//! CreateTopics (KIP-4, KIP-464, KIP-525): each topic with its own result, refused for the reasons Kafka refuses it.
//!
//! There are no replicas here, S3 keeps the data: replication factors and assignments are checked as far as they can be
//! wrong in themselves, and then mapped to one replica that any agent serves.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName as WireTopicName};
use metastore::{MetastoreError, NewTopic, TopicCreation, TopicSettings};
use types::TopicName;
use types::limits::PARTITIONS_PER_TOPIC_MAX;
use uuid::Uuid;

use super::wire::{Refusal, parse_topic_name, text, topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::configs::topic::effective;
use crate::configs::{BrokerConfigs, ConfigError, Setting, alter};
use crate::error::{Asked, of_config, of_metastore, of_topic_name};

/// "The broker's default", for partitions and replicas.
const DEFAULT_COUNT: i32 = -1;

/// More replicas than this are a mistake: no cluster keeps so many.
const REPLICATION_FACTOR_MAX: i16 = 100;

/// What clients are shown as the number of replicas.
const REPLICATION_FACTOR_SHOWN: i16 = 1;

/// Creates topics, or with `validate_only` says what would become of them.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let (mut topics, mut refused) = check_all(request.topics, broker.topic_defaults.partition_count);
    let total: i64 = topics.iter().map(|topic| i64::from(topic.partition_count)).sum();
    if total > i64::from(PARTITIONS_PER_TOPIC_MAX) {
        refused.extend(
            topics
                .drain(..)
                .map(|topic| failed(topic_name(&topic.name), &too_many(total))),
        );
    }
    let created = if request.validate_only {
        validate(broker, &topics).await
    } else {
        create(broker, &topics).await
    };
    let answers = match created {
        Ok(results) => topics
            .iter()
            .zip(results)
            .map(|(topic, result)| answer(topic, result, &broker.configs))
            .collect(),
        Err(error) => unavailable(&topics, &error),
    };
    refused.extend(answers);
    CreateTopicsResponse::default().with_topics(refused)
}

/// What there is to create, and the answers for what cannot be.
fn check_all(topics: Vec<CreatableTopic>, partitions_default: i32) -> (Vec<NewTopic>, Vec<CreatableTopicResult>) {
    let mut times: HashMap<WireTopicName, usize> = HashMap::new();
    for topic in &topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for topic in topics {
        match times.remove(&topic.name) {
            Some(1) => match check(&topic, partitions_default) {
                Ok(new) => good.push(new),
                Err(refusal) => refused.push(failed(topic.name, &refusal)),
            },
            Some(_) => refused.push(failed(
                topic.name,
                &Refusal::new(ResponseError::InvalidRequest, "Duplicate topic name."),
            )),
            // A duplicate, answered already.
            None => {}
        }
    }
    (good, refused)
}

fn check(topic: &CreatableTopic, partitions_default: i32) -> Result<NewTopic, Refusal> {
    let name = parse_topic_name(&topic.name)
        .map_err(|error| Refusal(of_topic_name(&error), format!("Topic name is invalid: {error}")))?;
    let partition_count = if topic.assignments.is_empty() {
        check_replication_factor(topic.replication_factor)?;
        check_partition_count(topic.num_partitions, partitions_default)?
    } else {
        check_assignments(topic)?
    };
    Ok(NewTopic {
        name,
        partition_count,
        settings: check_configs(&topic.configs)?,
    })
}

fn check_replication_factor(factor: i16) -> Result<(), Refusal> {
    match factor {
        -1 | 1..=REPLICATION_FACTOR_MAX => Ok(()),
        i16::MIN..=0 => Err(Refusal::new(
            ResponseError::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )),
        _ => Err(Refusal(
            ResponseError::InvalidReplicationFactor,
            format!("Replication factor must not be larger than {REPLICATION_FACTOR_MAX}."),
        )),
    }
}

fn check_partition_count(count: i32, default: i32) -> Result<i32, Refusal> {
    match count {
        DEFAULT_COUNT => Ok(default),
        1..=PARTITIONS_PER_TOPIC_MAX => Ok(count),
        i32::MIN..=0 => Err(Refusal::new(
            ResponseError::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        )),
        _ => Err(Refusal(
            ResponseError::InvalidPartitions,
            format!("Number of partitions must not be larger than {PARTITIONS_PER_TOPIC_MAX}."),
        )),
    }
}

fn check_assignments(topic: &CreatableTopic) -> Result<i32, Refusal> {
    let assigned = &topic.assignments;
    if topic.replication_factor != -1 {
        return Err(Refusal::new(
            ResponseError::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    }
    if topic.num_partitions != DEFAULT_COUNT {
        return Err(Refusal::new(
            ResponseError::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    }
    assigned.iter().try_for_each(check_replicas)?;
    let indexes: BTreeSet<i32> = assigned.iter().map(|partition| partition.partition_index).collect();
    if indexes.len() != assigned.len() {
        return Err(assignment(
            "Found multiple manual partition assignments for one partition.",
        ));
    }
    if !indexes
        .into_iter()
        .eq(0..i32::try_from(assigned.len()).unwrap_or(i32::MAX))
    {
        return Err(assignment(
            "Partitions should be a consecutive 0-based integer sequence.",
        ));
    }
    check_partition_count(i32::try_from(assigned.len()).unwrap_or(i32::MAX), 1)
}

fn check_replicas(partition: &CreatableReplicaAssignment) -> Result<(), Refusal> {
    let brokers = &partition.broker_ids;
    if brokers.is_empty() {
        return Err(assignment(
            "The manual partition assignment includes an empty replica list.",
        ));
    }
    if brokers.iter().collect::<BTreeSet<_>>().len() != brokers.len() {
        return Err(assignment(
            "The manual partition assignment names a broker more than once.",
        ));
    }
    Ok(())
}

fn check_configs(configs: &[CreatableTopicConfig]) -> Result<TopicSettings, Refusal> {
    let refuse = |error: ConfigError| Refusal(of_config(&error), error.to_string());
    if let Some(config) = configs.iter().find(|config| config.value.is_none()) {
        return Err(refuse(ConfigError::NoValue(config.name.to_string())));
    }
    let wanted = configs
        .iter()
        .map(|config| (&*config.name, config.value.as_deref().unwrap_or_default()));
    alter::replaced(wanted).map_err(refuse)
}

fn assignment(message: &str) -> Refusal {
    Refusal::new(ResponseError::InvalidReplicaAssignment, message)
}

/// Kafka bounds what one request may create as well (`MAX_RECORDS_PER_USER_OP`).
fn too_many(partitions: i64) -> Refusal {
    Refusal(
        ResponseError::PolicyViolation,
        format!("Unable to create {partitions} partitions in one request: the limit is {PARTITIONS_PER_TOPIC_MAX}."),
    )
}

/// What becomes of a good topic: its id once it is there, or why not.
type Outcome = Result<Uuid, Refusal>;

async fn create(broker: &Broker, topics: &[NewTopic]) -> Result<Vec<Outcome>, MetastoreError> {
    let results = broker.metastore.create_topics(topics).await?;
    for topic in &results {
        if let TopicCreation::Created(topic) = topic {
            tracing::info!(topic.name = %topic.name, partitions = topic.partition_count, "topic created");
        }
    }
    // So that this agent's clients find it at once; if this fails they look for it themselves.
    let _ = broker.cluster.renewed().await;
    Ok(results.into_iter().map(outcome).collect())
}

async fn validate(broker: &Broker, topics: &[NewTopic]) -> Result<Vec<Outcome>, MetastoreError> {
    let names: Vec<TopicName> = topics.iter().map(|topic| topic.name.clone()).collect();
    let found = broker.metastore.topics_in_the_way(&names).await?;
    Ok(found
        .into_iter()
        .map(|found| found.map_or(Ok(Uuid::nil()), outcome))
        .collect())
}

fn outcome(creation: TopicCreation) -> Outcome {
    match creation {
        TopicCreation::Created(topic) => Ok(topic.id.0),
        TopicCreation::AlreadyExists(topic) => Err(Refusal(
            ResponseError::TopicAlreadyExists,
            format!("Topic '{}' already exists.", topic.name),
        )),
        TopicCreation::Collides(topic) => Err(Refusal(
            ResponseError::InvalidTopicException,
            format!("Topic name collides with existing topic: {}", topic.name),
        )),
    }
}

fn unavailable(topics: &[NewTopic], error: &MetastoreError) -> Vec<CreatableTopicResult> {
    if !topics.is_empty() {
        tracing::warn!(%error, "topics cannot be created");
    }
    let refusal = Refusal::new(
        of_metastore(error, Asked::TopicChange),
        "The metadata store is not available.",
    );
    topics
        .iter()
        .map(|topic| failed(topic_name(&topic.name), &refusal))
        .collect()
}

fn answer(topic: &NewTopic, outcome: Outcome, configs: &BrokerConfigs) -> CreatableTopicResult {
    match outcome {
        Ok(id) => CreatableTopicResult::default()
            .with_name(topic_name(&topic.name))
            .with_topic_id(id)
            .with_error_message(None)
            .with_num_partitions(topic.partition_count)
            .with_replication_factor(REPLICATION_FACTOR_SHOWN)
            .with_configs(Some(effective(&topic.settings, configs).map(describe_config).collect())),
        Err(refusal) => failed(topic_name(&topic.name), &refusal),
    }
}

fn describe_config(setting: Setting<'_>) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(setting.name.into())
        .with_value(setting.value.map(text))
        .with_config_source(setting.source as i8)
}

fn failed(name: WireTopicName, Refusal(error, message): &Refusal) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(error.code())
        .with_error_message(Some(text(message)))
        .with_configs(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configs::Source;
    use crate::handlers::wire::encodes;
    use kafka_protocol::messages::BrokerId;

    fn topic(name: &str) -> CreatableTopic {
        CreatableTopic::default()
            .with_name(text(name).into())
            .with_num_partitions(-1)
            .with_replication_factor(-1)
    }

    fn assigned(indexes: &[i32]) -> CreatableTopic {
        let assignment = |index: &i32| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*index)
                .with_broker_ids(vec![BrokerId(1), BrokerId(2)])
        };
        topic("t").with_assignments(indexes.iter().map(assignment).collect())
    }

    fn config(name: &'static str, value: &'static str) -> CreatableTopic {
        let config = CreatableTopicConfig::default()
            .with_name(name.into())
            .with_value(Some(value.into()));
        topic("t").with_configs(vec![config])
    }

    fn error(topic: CreatableTopic) -> ResponseError {
        check(&topic, 3).unwrap_err().0
    }

    fn count(topic: CreatableTopic) -> i32 {
        check(&topic, 3).unwrap().partition_count
    }

    #[test]
    fn defaults_and_assignments_give_the_number_of_partitions() {
        assert_eq!(count(topic("t")), 3);
        assert_eq!(count(topic("t").with_num_partitions(7).with_replication_factor(3)), 7);
        assert_eq!(count(assigned(&[1, 0, 2, 3])), 4);
    }

    #[test]
    fn wrong_counts_are_refused() {
        for wrong in [0, -2, i32::MIN, PARTITIONS_PER_TOPIC_MAX + 1] {
            assert_eq!(
                error(topic("t").with_num_partitions(wrong)),
                ResponseError::InvalidPartitions,
                "{wrong}"
            );
        }
        for wrong in [0, -2, i16::MIN, i16::MAX] {
            let topic = topic("t").with_replication_factor(wrong);
            assert_eq!(error(topic), ResponseError::InvalidReplicationFactor, "{wrong}");
        }
    }

    #[test]
    fn wrong_assignments_are_refused() {
        for wrong in [&[1][..], &[0, 2], &[0, 0], &[-1, 0]] {
            assert_eq!(
                error(assigned(wrong)),
                ResponseError::InvalidReplicaAssignment,
                "{wrong:?}"
            );
        }
        let mut nowhere = assigned(&[0]);
        nowhere.assignments[0].broker_ids.clear();
        assert_eq!(error(nowhere), ResponseError::InvalidReplicaAssignment);
        assert_eq!(
            error(assigned(&[0]).with_num_partitions(1)),
            ResponseError::InvalidRequest
        );
        assert_eq!(
            error(assigned(&[0]).with_replication_factor(2)),
            ResponseError::InvalidRequest
        );
    }

    #[test]
    fn names_and_settings_are_checked() {
        assert_eq!(error(topic("a b")), ResponseError::InvalidTopicException);
        assert_eq!(error(topic("")), ResponseError::InvalidTopicException);
        assert_eq!(error(config("no.such.setting", "1")), ResponseError::InvalidConfig);
        assert_eq!(error(config("compression.type", "zstd")), ResponseError::InvalidConfig);
        let settings = check(&config("retention.ms", " 5 "), 1).unwrap().settings;
        assert_eq!(settings.0["retention.ms"], "5");
    }

    #[test]
    fn a_topic_named_twice_is_refused_once_and_its_neighbour_is_not() {
        let (good, refused) = check_all(vec![topic("a"), topic("b"), topic("a"), topic("a")], 1);
        assert_eq!(good.len(), 1);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].error_code, ResponseError::InvalidRequest.code());
    }

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let agent = BrokerConfigs::for_tests(&[]);
        let good = answer(
            &check(&config("retention.ms", "5"), 1).unwrap(),
            Ok(Uuid::from_u128(1)),
            &agent,
        );
        let configs = good.configs.as_ref().unwrap();
        assert!(
            configs
                .iter()
                .any(|config| config.name.as_str() == "retention.ms" && config.config_source == Source::Topic as i8)
        );
        let bad = failed(text("t").into(), &too_many(1));
        let response = CreateTopicsResponse::default().with_topics(vec![good, bad]);
        (2..=7).for_each(|version| encodes(&response, version));
    }
}
