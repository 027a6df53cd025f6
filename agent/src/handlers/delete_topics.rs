//! DeleteTopics.

use std::sync::Arc;

use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::broker::Broker;
use crate::client::Client;

/// Answers one request.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    _request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    DeleteTopicsResponse::default()
}
