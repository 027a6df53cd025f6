//! Heartbeat: a member shows that it lives, and hears whether its group rebalances. Answered from memory.

use std::sync::Arc;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::groups::{ask, identity};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, MemberAsk};

/// Answers at once.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let heartbeat = MemberAsk {
        member: identity(&request.member_id, request.group_instance_id.as_ref()),
        generation: request.generation_id,
    };
    match ask(broker, &request.group_id, Ask::Heartbeat(heartbeat)).await {
        Ok(_) => HeartbeatResponse::default(),
        Err(error) => refused(version, &request, &error),
    }
}

/// The answer to a member that is to do something else.
pub fn refused(_version: i16, _request: &HeartbeatRequest, error: &GroupError) -> HeartbeatResponse {
    HeartbeatResponse::default().with_error_code(of_group(error).code())
}
