//! DescribeGroups (KIP-430, 1043): members and assignments, from each group's coordinator.

use std::sync::Arc;

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::groups::{ask, each, elsewhere};
use super::wire::{OPERATIONS_NOT_ASKED, text};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, Described, GroupError, Told};

/// First version that tells a group that is not there from a dead one.
const NOT_FOUND_SINCE: i16 = 6;

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS, by their numbers: without authorization everybody may do all that
/// can be done to a group.
pub(super) const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Answers for each group.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let operations = if request.include_authorized_operations {
        ALL_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let one = |group| describe(broker, client, version, group, operations);
    DescribeGroupsResponse::default().with_groups(each(request.groups, one).await)
}

async fn describe(broker: &Broker, client: &Client, version: i16, group: GroupId, operations: i32) -> DescribedGroup {
    let alone = DescribeGroupsRequest::default()
        .with_groups(vec![group.clone()])
        .with_include_authorized_operations(operations != OPERATIONS_NOT_ASKED);
    let passed =
        elsewhere::<_, DescribeGroupsResponse>(broker, client, ApiKey::DescribeGroups, version, &group, &alone);
    let described = match passed.await {
        None => match ask(broker, &group, Ask::Describe).await {
            Ok(Told::Described(described)) => Ok(show(group.clone(), described)),
            Ok(_) => Err(GroupError::Unavailable),
            Err(error) => Err(error),
        },
        Some(Ok(mut response)) => return response.groups.pop().unwrap_or_default(),
        Some(Err(error)) => Err(error),
    };
    described
        .unwrap_or_else(|error| refused(version, group, &error))
        .with_authorized_operations(operations)
}

fn show(group: GroupId, described: Described) -> DescribedGroup {
    let members = described.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_group_id(group)
        .with_group_state(text(described.state))
        .with_protocol_type(text(&described.protocol_type))
        .with_protocol_data(text(&described.protocol_name))
        .with_members(members.collect())
}

fn refused(version: i16, group: GroupId, error: &GroupError) -> DescribedGroup {
    let missing = *error == GroupError::NotFound;
    let described = DescribedGroup::default();
    let described = if missing {
        described.with_group_state(text("Dead"))
    } else {
        described
    };
    let described = if missing && version < NOT_FOUND_SINCE {
        described
    } else {
        described.with_error_code(of_group(error).code())
    };
    let message = (version >= NOT_FOUND_SINCE).then(|| text(&format!("Group {}: {error}.", group.as_str())));
    described.with_error_message(message).with_group_id(group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::ask::DescribedMember;
    use crate::handlers::wire::{NO_ERROR, encodes};

    #[test]
    fn a_group_that_is_not_there_is_dead_or_not_found_by_version() {
        let group = || GroupId(text("g"));
        let old = refused(5, group(), &GroupError::NotFound);
        assert_eq!((old.error_code, old.group_state.as_str()), (NO_ERROR, "Dead"));
        let new = refused(6, group(), &GroupError::NotFound);
        assert_ne!(new.error_code, NO_ERROR);
        for version in 0..=6 {
            let answer =
                DescribeGroupsResponse::default().with_groups(vec![refused(version, group(), &GroupError::NotFound)]);
            encodes(&answer, version);
        }
    }

    #[test]
    fn groups_can_be_shown_in_every_version() {
        let member = DescribedMember {
            member_id: "m".to_owned(),
            instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/10.0.0.1".to_owned(),
            metadata: bytes::Bytes::new(),
            assignment: bytes::Bytes::new(),
        };
        let described = Described {
            state: "Stable",
            protocol_type: "consumer".to_owned(),
            protocol_name: "range".to_owned(),
            members: vec![member],
        };
        let shown = show(GroupId(text("g")), described).with_authorized_operations(OPERATIONS_NOT_ASKED);
        let response = DescribeGroupsResponse::default().with_groups(vec![shown]);
        (0..=6).for_each(|version| encodes(&response, version));
    }
}
