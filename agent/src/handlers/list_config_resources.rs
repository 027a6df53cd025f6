//! ListConfigResources (KIP-1142): what has settings. Version 0 is the older ListClientMetricsResources (KIP-714).

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::config_resource::resource_type::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;

/// First version that says which types it wants; before, that is clients' metrics.
const TYPES_SINCE: i16 = 1;

/// All types; none of the last two has a resource here.
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Lists the resources of the types asked for.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let types = match wanted(version, &request.resource_types) {
        Ok(types) => types,
        Err(error) => return ListConfigResourcesResponse::default().with_error_code(error.code()),
    };
    let mut resources = Vec::new();
    for kind in types {
        let names: Vec<String> = match kind {
            TOPIC => {
                let snapshot = broker
                    .cluster
                    .renewed()
                    .await
                    .unwrap_or_else(|_| broker.cluster.snapshot());
                snapshot.topics().map(|topic| topic.name.to_string()).collect()
            }
            BROKER | BROKER_LOGGER => {
                let placement = broker.placement(client);
                placement.brokers().iter().map(|broker| broker.id.to_string()).collect()
            }
            _ => Vec::new(),
        };
        let named = names.iter().map(|name| {
            ConfigResource::default()
                .with_resource_name(text(name))
                .with_resource_type(kind)
        });
        resources.extend(named);
    }
    ListConfigResourcesResponse::default().with_config_resources(resources)
}

/// Types in order, each once; none named means all.
fn wanted(version: i16, types: &[i8]) -> Result<Vec<i8>, ResponseError> {
    if version < TYPES_SINCE {
        return Ok(vec![CLIENT_METRICS]);
    }
    if types.iter().any(|kind| !ALL.contains(kind)) {
        return Err(ResponseError::UnsupportedVersion);
    }
    let is_wanted = |kind: &i8| types.is_empty() || types.contains(kind);
    Ok(ALL.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_means_all_and_an_unknown_one_is_refused() {
        assert_eq!(wanted(1, &[]), Ok(ALL.to_vec()));
        assert_eq!(wanted(1, &[BROKER, TOPIC, BROKER]), Ok(vec![TOPIC, BROKER]));
        assert_eq!(wanted(1, &[TOPIC, 3]), Err(ResponseError::UnsupportedVersion));
        assert_eq!(wanted(0, &[]), Ok(vec![CLIENT_METRICS]));
    }
}
