//! DescribeUserScramCredentials (KIP-554): nobody has a credential.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use kafka_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;

/// Answers for every user that is named; where none is, with nobody.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let users = request.users.unwrap_or_default();
    DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(users.iter().map(unknown).collect())
}

fn unknown(user: &UserName) -> DescribeUserScramCredentialsResult {
    let message = format!(
        "Attempt to describe a user credential that does not exist: {}",
        user.name
    );
    DescribeUserScramCredentialsResult::default()
        .with_user(user.name.clone())
        .with_error_code(ResponseError::ResourceNotFound.code())
        .with_error_message(Some(text(&message)))
}
