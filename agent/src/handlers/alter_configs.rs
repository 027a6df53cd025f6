//! AlterConfigs (KIP-133): a resource's settings are these and no others. Clients of today use IncrementalAlterConfigs.

use std::sync::Arc;

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use types::NodeId;

use super::config_alteration::{alter, check, named_twice, refuse_twice};
use super::config_resource::{own_ids, resource};
use super::wire::{Refusal, outcome};
use crate::broker::Broker;
use crate::client::Client;
use crate::configs::alter::replaced;

/// Alters every resource that is named, or with `validate_only` says what would become of it.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let own = own_ids(broker, client);
    let key = |wanted: &AlterConfigsResource| (wanted.resource_type, wanted.resource_name.clone());
    let twice = named_twice(request.resources.iter().map(key));
    let mut responses = Vec::with_capacity(request.resources.len());
    for wanted in &request.resources {
        let result = if twice[&key(wanted)] {
            Err(refuse_twice())
        } else {
            replace(broker, &own, wanted, request.validate_only).await
        };
        let (error_code, message) = outcome(&result);
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_error_code(error_code)
                .with_error_message(message)
                .with_resource_type(wanted.resource_type)
                .with_resource_name(wanted.resource_name.clone()),
        );
    }
    if !request.validate_only {
        // So that this agent's clients find it at once; if this fails they find it within a second of Postgres's return.
        let _ = broker.cluster.renewed().await;
    }
    AlterConfigsResponse::default().with_responses(responses)
}

async fn replace(
    broker: &Broker,
    own: &[NodeId],
    wanted: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let configs = &wanted.configs;
    check(
        configs
            .iter()
            .map(|config| (config.name.as_str(), config.value.as_ref(), true)),
    )?;
    let resource = resource(wanted.resource_type, &wanted.resource_name, own)?;
    let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
    let pairs = || {
        configs
            .iter()
            .map(|config| (config.name.as_str(), config.value.as_deref().unwrap_or_default()))
    };
    alter(broker, &resource, &names, validate_only, |_| replaced(pairs())).await
}
