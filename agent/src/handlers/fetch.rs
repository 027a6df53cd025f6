//! Fetch.

use std::sync::Arc;

use kafka_protocol::messages::FetchRequest;

use crate::broker::Broker;
use crate::client::Client;
use crate::fetch_answer::FetchAnswer;

/// Answers when there is enough to read, or when the client has waited long enough. Dropped when the client goes.
pub async fn handle(_broker: &Arc<Broker>, _client: &Client, _version: i16, _request: FetchRequest) -> FetchAnswer {
    FetchAnswer::default()
}
