//! DescribeClientQuotas (KIP-546): nobody has a quota.

use std::sync::Arc;

use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use crate::broker::Broker;
use crate::client::Client;

/// Answers with none.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    _request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse::default()
        .with_error_message(None)
        .with_entries(Some(Vec::new()))
}
