//! SyncGroup (KIP-559): the leader hands in the assignments of its generation, everybody is told their own.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::groups::{ask, identity};
use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, SyncAsk, Synced, Told};

/// First version that tells protocol type and name.
const PROTOCOL_SINCE: i16 = 5;

/// Waits for the leader, unless it is the leader.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let asked = Ask::Sync(sync(&request));
    match ask(broker, &request.group_id, asked).await {
        Ok(Told::Synced(synced)) => answer(version, synced),
        Ok(_) => refused(version, &request, &GroupError::Unavailable),
        Err(error) => refused(version, &request, &error),
    }
}

fn sync(request: &SyncGroupRequest) -> SyncAsk {
    let assignments = request.assignments.iter().map(|assignment| {
        // A copy of its own: an assignment lives longer than the frame it came in.
        let bytes = Bytes::copy_from_slice(&assignment.assignment);
        (assignment.member_id.to_string(), bytes)
    });
    SyncAsk {
        member: identity(&request.member_id, request.group_instance_id.as_ref()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_ref().map(ToString::to_string),
        protocol_name: request.protocol_name.as_ref().map(ToString::to_string),
        assignments: assignments.collect(),
    }
}

fn answer(version: i16, synced: Synced) -> SyncGroupResponse {
    let response = SyncGroupResponse::default().with_assignment(synced.assignment);
    if version < PROTOCOL_SINCE {
        return response;
    }
    response
        .with_protocol_type(Some(text(&synced.protocol_type)))
        .with_protocol_name(Some(text(&synced.protocol_name)))
}

/// The answer to a member that gets no assignment.
pub fn refused(_version: i16, _request: &SyncGroupRequest, error: &GroupError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(of_group(error).code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::encodes;

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let synced = Synced {
            protocol_type: "consumer".to_owned(),
            protocol_name: "range".to_owned(),
            assignment: Bytes::from_static(b"a"),
        };
        for version in 0..=5 {
            encodes(&answer(version, synced.clone()), version);
            let refusal = refused(version, &SyncGroupRequest::default(), &GroupError::Rebalancing);
            encodes(&refusal, version);
        }
    }
}
