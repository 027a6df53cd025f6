//! CreateAcls (KIP-140): there is no authorizer, and a broker without one says so, once for each ACL.

use std::sync::Arc;

use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use super::wire::{no_authorizer, outcome};
use crate::broker::Broker;
use crate::client::Client;

/// Refuses each.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: CreateAclsRequest,
) -> CreateAclsResponse {
    let (error_code, message) = outcome(&no_authorizer());
    let refused = AclCreationResult::default()
        .with_error_code(error_code)
        .with_error_message(message);
    CreateAclsResponse::default().with_results(vec![refused; request.creations.len()])
}
