//! IncrementalAlterConfigs (KIP-339): settings are set, forgotten, added to or taken from; what is not named stays.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use types::NodeId;

use super::config_alteration::{alter, check, named_twice, refuse_twice};
use super::config_resource::{own_ids, resource};
use super::wire::{Refusal, outcome};
use crate::broker::Broker;
use crate::client::Client;
use crate::configs::alter::{Alteration, Operation, altered};

/// Alters every resource that is named, or with `validate_only` says what would become of it.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let own = own_ids(broker, client);
    let key = |wanted: &AlterConfigsResource| (wanted.resource_type, wanted.resource_name.clone());
    let twice = named_twice(request.resources.iter().map(key));
    let mut responses = Vec::with_capacity(request.resources.len());
    for wanted in &request.resources {
        let result = if twice[&key(wanted)] {
            Err(refuse_twice())
        } else {
            change(broker, &own, wanted, request.validate_only).await
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
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn change(
    broker: &Broker,
    own: &[NodeId],
    wanted: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let alterations: Vec<Alteration<'_>> = wanted.configs.iter().map(alteration).collect::<Result<_, _>>()?;
    let wishes = alterations.iter().zip(&wanted.configs).map(|(alteration, config)| {
        let needs_value = alteration.operation != Operation::Delete;
        (alteration.name, config.value.as_ref(), needs_value)
    });
    check(wishes)?;
    let resource = resource(wanted.resource_type, &wanted.resource_name, own)?;
    let names: Vec<&str> = alterations.iter().map(|alteration| alteration.name).collect();
    alter(broker, &resource, &names, validate_only, |current| {
        altered(current, &alterations)
    })
    .await
}

fn alteration(config: &AlterableConfig) -> Result<Alteration<'_>, Refusal> {
    let code = config.config_operation;
    let operation = Operation::of(code)
        .ok_or_else(|| Refusal(ResponseError::InvalidRequest, format!("Unknown operations type {code}")))?;
    Ok(Alteration {
        name: &config.name,
        operation,
        value: config.value.as_deref().unwrap_or_default(),
    })
}
