//! DescribeAcls (KIP-140): there is no authorizer, and a broker without one says so.

use std::sync::Arc;

use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::wire::{no_authorizer, outcome};
use crate::broker::Broker;
use crate::client::Client;

/// Refuses.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    _request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    let (error_code, message) = outcome(&no_authorizer());
    DescribeAclsResponse::default()
        .with_error_code(error_code)
        .with_error_message(message)
}
