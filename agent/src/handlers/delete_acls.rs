//! DeleteAcls (KIP-140): there is no authorizer, and a broker without one says so, once for each filter.

use std::sync::Arc;

use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::wire::{no_authorizer, outcome};
use crate::broker::Broker;
use crate::client::Client;

/// Refuses each.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: DeleteAclsRequest,
) -> DeleteAclsResponse {
    let (error_code, message) = outcome(&no_authorizer());
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(error_code)
        .with_error_message(message);
    DeleteAclsResponse::default().with_filter_results(vec![refused; request.filters.len()])
}
