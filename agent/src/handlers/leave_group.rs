//! LeaveGroup (KIP-345, 800): members that go, or that an administrator removes.

use std::sync::Arc;

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::groups::{ask, identity};
use super::wire::NO_ERROR;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, Identity, Told};

/// First version that names several members, each with a result of its own.
const SEVERAL_SINCE: i16 = 3;

/// Removes each member that is there.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let members = leaving(version, &request);
    for (member, reason) in members.iter().filter_map(|(member, reason)| Some((member, (*reason)?))) {
        let (group, id) = (request.group_id.as_str(), member.member_id.as_str());
        tracing::debug!(group.id = group, member.id = id, reason, "member leaves");
    }
    let members = members.into_iter().map(|(member, _)| member).collect();
    match ask(broker, &request.group_id, Ask::Leave(members)).await {
        Ok(Told::Left(left)) => answer(version, &request, &left),
        Ok(_) => refused(version, &request, &GroupError::Unavailable),
        Err(error) => refused(version, &request, &error),
    }
}

fn leaving(version: i16, request: &LeaveGroupRequest) -> Vec<(Identity, Option<&str>)> {
    if version < SEVERAL_SINCE {
        return vec![(identity(&request.member_id, None), None)];
    }
    let members = request.members.iter();
    let leaving = members.map(|member| {
        let who = identity(&member.member_id, member.group_instance_id.as_ref());
        (who, member.reason.as_deref())
    });
    leaving.collect()
}

fn answer(version: i16, request: &LeaveGroupRequest, left: &[Result<(), GroupError>]) -> LeaveGroupResponse {
    let code = |left: &Result<(), GroupError>| left.as_ref().map_or_else(|e| of_group(e).code(), |()| NO_ERROR);
    if version < SEVERAL_SINCE {
        let code = left.first().map_or(NO_ERROR, code);
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let members = request.members.iter().zip(left);
    let members = members.map(|(member, left)| member_response(member).with_error_code(code(left)));
    LeaveGroupResponse::default().with_members(members.collect())
}

fn member_response(member: &MemberIdentity) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(member.member_id.clone())
        .with_group_instance_id(member.group_instance_id.clone())
}

/// The answer where nobody leaves.
pub fn refused(_version: i16, _request: &LeaveGroupRequest, error: &GroupError) -> LeaveGroupResponse {
    LeaveGroupResponse::default().with_error_code(of_group(error).code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::{encodes, text};
    use kafka_protocol::error::ResponseError;

    #[test]
    fn each_member_has_its_own_result_where_there_is_room_for_it() {
        let member = MemberIdentity::default().with_member_id(text("m"));
        let request = LeaveGroupRequest::default().with_members(vec![member.clone(), member]);
        let left = [Ok(()), Err(GroupError::UnknownMember)];
        let response = answer(3, &request, &left);
        let unknown = ResponseError::UnknownMemberId.code();
        assert_eq!(response.error_code, NO_ERROR);
        assert_eq!(response.members[0].error_code, NO_ERROR);
        assert_eq!(response.members[1].error_code, unknown);
        assert_eq!(answer(2, &LeaveGroupRequest::default(), &left[1..]).error_code, unknown);
        (3..=5).for_each(|version| encodes(&answer(version, &request, &left), version));
        (0..=2).for_each(|version| encodes(&answer(version, &LeaveGroupRequest::default(), &left), version));
    }
}
