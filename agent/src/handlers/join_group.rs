//! JoinGroup (KIP-62, 345, 394, 559, 800, 814): a member wants to belong to the group's next generation. Answered when that begins.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::groups::{ask, client_host, identity};
use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, JoinAsk, Joined, Protocol, Told};

/// First version with a rebalance timeout; before, the session timeout stands for it.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;
/// First version whose new members have to come back with the id they are given (KIP-394).
const KNOWN_ID_SINCE: i16 = 4;
/// First version that tells the protocol type, and whose protocol may be null.
const PROTOCOL_TYPE_SINCE: i16 = 7;
/// First version that can tell a leader that there is nothing to divide (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

/// Joins, and waits for the generation.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    if request.protocol_type.contains('\0') {
        // Postgres has no text with it, so the group's row could not be written.
        return refused(version, &request, &GroupError::InconsistentProtocol);
    }
    let join = join(client, version, &request);
    // Before the group is asked for: it would come into being.
    if !broker.groups.limits().permits_session(join.session_timeout) {
        return refused(version, &request, &GroupError::InvalidSessionTimeout);
    }
    match ask(broker, &request.group_id, Ask::Join(join)).await {
        Ok(Told::Joined(joined)) => answer(version, joined),
        Ok(_) => refused(version, &request, &GroupError::Unavailable),
        Err(error) => refused(version, &request, &error),
    }
}

fn join(client: &Client, version: i16, request: &JoinGroupRequest) -> JoinAsk {
    let rebalance_timeout_ms = if version >= REBALANCE_TIMEOUT_SINCE {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.to_string(),
        // A copy of its own: a member lives longer than the frame it came in.
        metadata: bytes::Bytes::copy_from_slice(&protocol.metadata),
    });
    JoinAsk {
        member: identity(&request.member_id, request.group_instance_id.as_ref()),
        client_id: client.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: client_host(client),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        session_timeout: millis(request.session_timeout_ms),
        rebalance_timeout: millis(rebalance_timeout_ms),
        requires_known_id: version >= KNOWN_ID_SINCE,
        can_skip_assignment: version >= SKIP_ASSIGNMENT_SINCE,
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn answer(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_metadata(member.metadata)
    });
    let protocol_type = (version >= PROTOCOL_TYPE_SINCE).then(|| text(&joined.protocol_type));
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(protocol_type)
        .with_protocol_name(Some(text(&joined.protocol_name)))
        .with_leader(text(&joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(&joined.member_id))
        .with_members(members.collect())
}

/// The answer to a member that does not join.
pub fn refused(version: i16, request: &JoinGroupRequest, error: &GroupError) -> JoinGroupResponse {
    let member_id = match error {
        GroupError::MemberIdRequired(id) => text(id),
        GroupError::Full => StrBytes::default(),
        _ => request.member_id.clone(),
    };
    let no_protocol = (version < PROTOCOL_TYPE_SINCE).then(StrBytes::default);
    JoinGroupResponse::default()
        .with_error_code(of_group(error).code())
        .with_generation_id(-1)
        .with_protocol_name(no_protocol)
        .with_member_id(member_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::ask::JoinedMember;
    use crate::handlers::wire::encodes;

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let member = JoinedMember {
            member_id: "m".to_owned(),
            instance_id: None,
            metadata: bytes::Bytes::from_static(b"x"),
        };
        let joined = Joined {
            generation: 1,
            protocol_type: "consumer".to_owned(),
            protocol_name: "range".to_owned(),
            leader: "m".to_owned(),
            skip_assignment: false,
            member_id: "m".to_owned(),
            members: vec![member],
        };
        for version in 0..=9 {
            encodes(&answer(version, joined.clone()), version);
            let required = GroupError::MemberIdRequired("m".to_owned());
            let refusal = refused(version, &JoinGroupRequest::default(), &required);
            assert_eq!(refusal.member_id.as_str(), "m");
            encodes(&refusal, version);
        }
    }

    #[test]
    fn before_there_was_a_rebalance_timeout_the_session_timeout_stood_for_it() {
        let client = Client::new(([10, 0, 0, 1], 9).into());
        let request = JoinGroupRequest::default()
            .with_session_timeout_ms(7000)
            .with_rebalance_timeout_ms(-1);
        let join = join(&client, 0, &request);
        assert_eq!(join.rebalance_timeout, Duration::from_secs(7));
        assert_eq!(join.client_host, "/10.0.0.1");
        assert!(!join.requires_known_id);
    }
}
