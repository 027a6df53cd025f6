//! What DescribeConfigs and both ways of altering configs have in common: whose settings are meant.

use kafka_protocol::error::ResponseError;
use types::{NodeId, TopicName};

use super::wire::Refusal;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_topic_name;

/// Kafka's `ConfigResource.Type`.
pub(crate) mod resource_type {
    pub(crate) const TOPIC: i8 = 2;
    pub(crate) const BROKER: i8 = 4;
    pub(crate) const BROKER_LOGGER: i8 = 8;
    pub(crate) const CLIENT_METRICS: i8 = 16;
    pub(crate) const GROUP: i8 = 32;
}

/// Whose settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A topic's.
    Topic(TopicName),
    /// This agent's.
    Broker,
    /// Those that every broker takes over; there are none.
    AllBrokers,
    /// The levels of this agent's loggers, which cannot be told apart or altered.
    BrokerLogger,
    /// A subscription of clients' metrics (KIP-714), of which there are none.
    ClientMetrics,
    /// A group's; none can be set.
    Group,
}

/// The ids under which clients know this agent: its own, and that of an address it shares.
pub(crate) fn own_ids(broker: &Broker, client: &Client) -> Vec<NodeId> {
    let own = broker.cluster.node_id();
    let shown = broker.placement(client).broker_of(own);
    std::iter::once(own).chain(shown).collect()
}

/// The resource of a type and a name.
pub(crate) fn resource(kind: i8, name: &str, own: &[NodeId]) -> Result<Resource, Refusal> {
    let refuse = |message: &str| Err(Refusal::new(ResponseError::InvalidRequest, message));
    match kind {
        resource_type::TOPIC => TopicName::new(name).map(Resource::Topic).map_err(|error| {
            let message = format!("Topic name is invalid: {error}");
            Refusal(of_topic_name(&error), message)
        }),
        resource_type::BROKER if name.is_empty() => Ok(Resource::AllBrokers),
        resource_type::BROKER => own_id(name, own).map(|()| Resource::Broker),
        resource_type::BROKER_LOGGER if name.is_empty() => refuse("Broker id must not be empty"),
        resource_type::BROKER_LOGGER => own_id(name, own).map(|()| Resource::BrokerLogger),
        resource_type::CLIENT_METRICS if name.is_empty() => {
            refuse("Client metrics subscription name must not be empty")
        }
        resource_type::CLIENT_METRICS => Ok(Resource::ClientMetrics),
        resource_type::GROUP if name.is_empty() => refuse("Group name must not be empty"),
        resource_type::GROUP => Ok(Resource::Group),
        unknown => refuse(&format!("Unknown resource type {unknown}")),
    }
}

fn own_id(name: &str, own: &[NodeId]) -> Result<(), Refusal> {
    let refuse = |message| Err(Refusal(ResponseError::InvalidRequest, message));
    match name.parse::<i32>() {
        Err(_) => refuse(format!("Broker id must be an integer, but it is: {name}")),
        Ok(id) if own.contains(&NodeId(id)) => Ok(()),
        Ok(_) => refuse(format!(
            "Unexpected broker id, expected {} or empty string, but received {name}",
            own[0]
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: i8, name: &str) -> Result<Resource, ResponseError> {
        resource(kind, name, &[NodeId(3), NodeId(900)]).map_err(|refusal| refusal.0)
    }

    #[test]
    fn an_agent_answers_for_itself_under_all_its_ids_and_for_no_other() {
        for name in ["3", "900"] {
            assert_eq!(of(resource_type::BROKER, name), Ok(Resource::Broker));
        }
        assert_eq!(of(resource_type::BROKER, ""), Ok(Resource::AllBrokers));
        assert_eq!(of(resource_type::BROKER_LOGGER, "3"), Ok(Resource::BrokerLogger));
        for (kind, name) in [
            (resource_type::BROKER, "4"),
            (resource_type::BROKER, "x"),
            (resource_type::BROKER_LOGGER, ""),
            (resource_type::CLIENT_METRICS, ""),
            (resource_type::GROUP, ""),
            (0, "x"),
        ] {
            assert_eq!(of(kind, name), Err(ResponseError::InvalidRequest), "{kind} {name}");
        }
    }

    #[test]
    fn a_topic_has_a_legal_name() {
        assert!(matches!(of(resource_type::TOPIC, "a"), Ok(Resource::Topic(_))));
        for name in ["", "a b", ".."] {
            assert_eq!(
                of(resource_type::TOPIC, name),
                Err(ResponseError::InvalidTopicException)
            );
        }
    }
}
