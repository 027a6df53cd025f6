//! DescribeConfigs (KIP-133, KIP-226, KIP-569): settings of topics and of this agent, each with where its value comes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use metastore::TopicSettings;
use types::TopicName;

use super::config_alteration::{named_twice, refuse_twice};
use super::config_resource::{Resource, own_ids, resource};
use super::wire::{Refusal, outcome, text};
use crate::broker::Broker;
use crate::client::Client;
use crate::configs::{Setting, Synonym, topic};
use crate::error::{Asked, of_metastore};

/// What the client wants to hear beside names and values.
#[derive(Clone, Copy, Debug)]
struct Details {
    synonyms: bool,
    documentation: bool,
}

/// The settings of the topics that are there.
type FoundTopics = Result<BTreeMap<TopicName, TopicSettings>, ResponseError>;

/// Answers for every resource that is named.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let own = own_ids(broker, client);
    let details = Details {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    // Each once: the answer is bounded by what there is, not by how often it is asked for.
    let key = |wanted: &DescribeConfigsResource| (wanted.resource_type, wanted.resource_name.clone());
    let twice = named_twice(request.resources.iter().map(key));
    let wanted = request.resources.iter().map(|wanted| {
        if twice[&key(wanted)] {
            return Err(refuse_twice());
        }
        resource(wanted.resource_type, &wanted.resource_name, &own)
    });
    let wanted: Vec<_> = wanted.collect();
    let names = wanted.iter().filter_map(|wanted| match wanted {
        Ok(Resource::Topic(name)) => Some(name.clone()),
        _ => None,
    });
    let found = find(broker, names.collect()).await;
    let results = request.resources.iter().zip(wanted).map(|(resource, wanted)| {
        let configs = wanted.and_then(|wanted| describe(broker, resource, &wanted, &found, details));
        result(resource, configs)
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// From Postgres, so that who altered a setting sees it; while that is away, from what we know.
async fn find(broker: &Broker, names: Vec<TopicName>) -> FoundTopics {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    match broker.metastore.topics_by_name(&names).await {
        Ok(topics) => Ok(topics.into_iter().map(|topic| (topic.name, topic.settings)).collect()),
        Err(error) => {
            let snapshot = broker.cluster.snapshot();
            let known = names.into_iter().map(|name| {
                let settings = snapshot.topic_by_name(&name)?.settings.clone();
                Some((name, settings))
            });
            let known: Option<BTreeMap<_, _>> = known.collect();
            known.ok_or_else(|| of_metastore(&error, Asked::Topics))
        }
    }
}

fn describe(
    broker: &Broker,
    resource: &DescribeConfigsResource,
    wanted: &Resource,
    found: &FoundTopics,
    details: Details,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    // librdkafka asks for all of them by an empty list.
    let is_asked = |setting: &Setting<'_>| keys.is_empty() || keys.iter().any(|key| key.as_str() == setting.name);
    let show = |setting: Setting<'_>| show(&setting, details);
    match wanted {
        Resource::Topic(name) => {
            let topics = found.as_ref().map_err(|error| Refusal::plain(*error))?;
            let settings = topics
                .get(name)
                .ok_or_else(|| Refusal::plain(ResponseError::UnknownTopicOrPartition))?;
            let settings = topic::effective(settings, &broker.configs);
            Ok(settings.filter(is_asked).map(show).collect())
        }
        Resource::Broker => Ok(broker.configs.effective().filter(is_asked).map(show).collect()),
        Resource::AllBrokers | Resource::BrokerLogger | Resource::ClientMetrics | Resource::Group => Ok(Vec::new()),
    }
}

fn show(setting: &Setting<'_>, details: Details) -> DescribeConfigsResourceResult {
    let synonyms: &[Synonym<'_>] = if details.synonyms { &setting.synonyms } else { &[] };
    DescribeConfigsResourceResult::default()
        .with_name(setting.name.into())
        .with_value(setting.value.map(text))
        .with_read_only(setting.read_only)
        .with_config_source(setting.source as i8)
        .with_synonyms(synonyms.iter().map(show_synonym).collect())
        .with_config_type(setting.kind.code())
        .with_documentation(
            details
                .documentation
                .then(|| StrBytes::from_static_str(setting.documentation)),
        )
}

fn show_synonym(synonym: &Synonym<'_>) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(synonym.name.into())
        .with_value(synonym.value.map(text))
        .with_source(synonym.source as i8)
}

fn result(
    resource: &DescribeConfigsResource,
    configs: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let (error_code, message) = outcome(&configs);
    DescribeConfigsResult::default()
        .with_error_code(error_code)
        .with_error_message(message)
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone())
        .with_configs(configs.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configs::BrokerConfigs;
    use crate::handlers::wire::encodes;

    #[test]
    fn details_are_given_to_those_who_ask_in_every_version() {
        let agent = BrokerConfigs::for_tests(&["--num-partitions=3"]);
        for (synonyms, documentation) in [(true, true), (false, false)] {
            let details = Details {
                synonyms,
                documentation,
            };
            let configs: Vec<_> = agent.effective().map(|setting| show(&setting, details)).collect();
            let partitions = configs
                .iter()
                .find(|config| config.name.as_str() == "num.partitions")
                .unwrap();
            assert_eq!(partitions.synonyms.len(), if synonyms { 2 } else { 0 });
            assert_eq!(partitions.documentation.is_some(), documentation);
            assert_eq!((partitions.config_type, partitions.config_source), (3, 4));
            let response = DescribeConfigsResponse::default()
                .with_results(vec![result(&DescribeConfigsResource::default(), Ok(configs))]);
            let oldest = if documentation { 3 } else { 1 };
            (oldest..=4).for_each(|version| encodes(&response, version));
        }
    }
}
