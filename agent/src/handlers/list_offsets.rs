//! ListOffsets.

use std::sync::Arc;

use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::broker::Broker;
use crate::client::Client;

/// Answers one request.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    _request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    ListOffsetsResponse::default()
}
