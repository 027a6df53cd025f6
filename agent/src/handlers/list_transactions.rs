//! ListTransactions (KIP-664): there are no transactions.

use std::sync::Arc;

use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::broker::Broker;
use crate::client::Client;

/// Kafka's `TransactionState`.
const STATES: [&str; 8] = [
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Empty",
    "Dead",
    "PrepareEpochFence",
];

/// Answers with none, and with the states asked for that do not exist.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let mut unknown = request.state_filters;
    unknown.retain(|state| !STATES.contains(&state.as_str()));
    ListTransactionsResponse::default().with_unknown_state_filters(unknown)
}
