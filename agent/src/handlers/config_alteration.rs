//! How a resource's settings are altered, by AlterConfigs or IncrementalAlterConfigs: checked as a whole, and written as a
//! whole or not at all.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use metastore::{MetastoreError, TopicSettings};
use types::TopicName;

use super::config_resource::Resource;
use super::wire::Refusal;
use crate::broker::Broker;
use crate::configs::ConfigError;
use crate::error::{Asked, of_config, of_metastore};

/// How often settings are derived anew because somebody else changed them meanwhile.
const ATTEMPTS: usize = 8;

/// Resources that a request names more than once: none of its wishes for them is granted.
pub(crate) fn named_twice<T: Eq + Hash>(resources: impl Iterator<Item = T>) -> HashMap<T, bool> {
    let mut times = HashMap::new();
    for resource in resources {
        times.entry(resource).and_modify(|twice| *twice = true).or_insert(false);
    }
    times
}

/// What is said of them.
pub(crate) fn refuse_twice() -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, "Each resource must appear at most once.")
}

/// Checks the wishes for one resource as far as they can be wrong in themselves: a name twice, no value where one is needed.
pub(crate) fn check<'a>(wishes: impl Iterator<Item = (&'a str, Option<&'a StrBytes>, bool)>) -> Result<(), Refusal> {
    let (mut names, mut without) = (BTreeSet::new(), Vec::new());
    for (name, value, needs_value) in wishes {
        if !names.insert(name) {
            let message = "Error due to duplicate config keys";
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
        if needs_value && value.is_none() {
            without.push(name);
        }
    }
    if without.is_empty() {
        return Ok(());
    }
    let message = format!("Null value not supported for : {}", without.join(", "));
    Err(Refusal(ResponseError::InvalidRequest, message))
}

/// Alters a topic's settings as `derive` says. All other resources have none that could be altered: `names` are those that
/// were to be.
pub(crate) async fn alter(
    broker: &Broker,
    resource: &Resource,
    names: &[&str],
    validate_only: bool,
    derive: impl Fn(&TopicSettings) -> Result<TopicSettings, ConfigError>,
) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::new(ResponseError::InvalidRequest, message));
    match resource {
        Resource::Topic(name) => alter_topic(broker, name, validate_only, derive).await,
        _ if names.is_empty() => Ok(()),
        Resource::Broker | Resource::AllBrokers => refuse_broker(broker, names),
        Resource::BrokerLogger => refuse("Levels of loggers cannot be altered: YAKS_LOG gives them"),
        Resource::ClientMetrics => refuse("Client metrics subscriptions are not supported"),
        Resource::Group => refuse("Settings of groups cannot be altered"),
    }
}

fn refuse_broker(broker: &Broker, names: &[&str]) -> Result<(), Refusal> {
    let message = match names.iter().find(|name| !broker.configs.has(name)) {
        Some(unknown) => format!("Unknown broker config name: {unknown}"),
        None => format!("Cannot update these configs dynamically: [{}]", names.join(", ")),
    };
    Err(Refusal(ResponseError::InvalidRequest, message))
}

async fn alter_topic(
    broker: &Broker,
    name: &TopicName,
    validate_only: bool,
    derive: impl Fn(&TopicSettings) -> Result<TopicSettings, ConfigError>,
) -> Result<(), Refusal> {
    let unavailable = |error: MetastoreError| {
        tracing::warn!(topic.name = %name, %error, "settings cannot be altered");
        // The same wishes granted twice do no harm.
        Refusal::new(
            of_metastore(&error, Asked::TopicChange),
            "The metadata store is not available.",
        )
    };
    for _ in 0..ATTEMPTS {
        let topic = broker.metastore.topic_by_name(name).await.map_err(unavailable)?;
        let topic = topic.ok_or_else(|| {
            let message = format!("The topic '{name}' does not exist.");
            Refusal(ResponseError::UnknownTopicOrPartition, message)
        })?;
        let settings = derive(&topic.settings).map_err(|error| Refusal(of_config(&error), error.to_string()))?;
        if validate_only || settings == topic.settings {
            return Ok(());
        }
        let replaced = broker.metastore.replace_settings(topic.id, &topic.settings, &settings);
        if replaced.await.map_err(unavailable)? {
            tracing::info!(topic.name = %name, "topic settings altered");
            return Ok(());
        }
    }
    Err(unavailable(MetastoreError::Unavailable(
        "settings are being altered too fast".to_owned(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::text;

    #[test]
    fn a_name_is_there_once_and_has_a_value_where_one_is_needed() {
        let value = text("1");
        let wish = |name, value, needs_value| (name, value, needs_value);
        assert_eq!(
            check([wish("a", Some(&value), true), wish("b", None, false)].into_iter()),
            Ok(())
        );
        let twice = check([wish("a", Some(&value), true), wish("a", Some(&value), true)].into_iter());
        assert_eq!(twice.unwrap_err().1, "Error due to duplicate config keys");
        let without = check([wish("a", None, true), wish("b", None, true)].into_iter());
        assert_eq!(without.unwrap_err().1, "Null value not supported for : a, b");
    }

    #[test]
    fn a_resource_named_twice_is_found_whatever_stands_between() {
        let named = named_twice([(2, "a"), (2, "b"), (2, "a"), (4, "b")].into_iter());
        assert!(named[&(2, "a")]);
        assert!(!named[&(2, "b")] && !named[&(4, "b")]);
    }
}
