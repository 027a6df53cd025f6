//! ListGroups (KIP-518, 848): the groups that this broker coordinates. A client asks every broker; agents behind one address are
//! one broker, and whichever is reached lists for all of them.

use std::sync::Arc;

use kafka_protocol::messages::list_groups_response::ListedGroup as WireGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use metastore::{GroupKind, ListedGroup};

use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, of_metastore};

/// Answers from Postgres.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let groups = match broker.metastore.groups().await {
        Ok(groups) => groups,
        Err(error) => {
            tracing::warn!(%error, "groups cannot be listed");
            return ListGroupsResponse::default().with_error_code(of_metastore(&error, Asked::Group).code());
        }
    };
    // As the client sees them, through its listener.
    let brokers = broker.placement(client);
    let own = brokers.broker_of(broker.cluster.own().node_id);
    let is_ours = |group: &ListedGroup| own == Some(brokers.coordinator(&group.group_id).id);
    let listed = groups
        .into_iter()
        .filter(|group| is_ours(group) && is_wanted(&request, group));
    ListGroupsResponse::default().with_groups(listed.map(show).collect())
}

fn is_wanted(request: &ListGroupsRequest, group: &ListedGroup) -> bool {
    let wanted = |filter: &[StrBytes], is: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(is))
    };
    wanted(&request.states_filter, &group.state) && wanted(&request.types_filter, kind(group.kind))
}

fn kind(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Classic => "classic",
        GroupKind::Consumer => "consumer",
    }
}

fn show(group: ListedGroup) -> WireGroup {
    WireGroup::default()
        .with_group_id(GroupId(text(&group.group_id)))
        .with_protocol_type(text(&group.protocol_type))
        .with_group_state(text(&group.state))
        .with_group_type(StrBytes::from_static_str(kind(group.kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::encodes;
    use types::NodeId;

    fn group(state: &str, kind: GroupKind) -> ListedGroup {
        ListedGroup {
            group_id: "g".to_owned(),
            coordinator: NodeId(1),
            kind,
            state: state.to_owned(),
            protocol_type: "consumer".to_owned(),
            member_count: 0,
        }
    }

    #[test]
    fn filters_take_states_and_types_in_any_case() {
        let request = ListGroupsRequest::default().with_states_filter(vec![text("stable"), text("Empty")]);
        assert!(is_wanted(&request, &group("Stable", GroupKind::Classic)));
        assert!(!is_wanted(&request, &group("PreparingRebalance", GroupKind::Classic)));
        let request = ListGroupsRequest::default().with_types_filter(vec![text("Classic")]);
        assert!(is_wanted(&request, &group("Stable", GroupKind::Classic)));
        assert!(!is_wanted(&request, &group("Stable", GroupKind::Consumer)));
    }

    #[test]
    fn groups_can_be_listed_in_every_version() {
        let listed = show(group("Stable", GroupKind::Classic));
        for version in 0..=5 {
            let mut listed = listed.clone();
            if version < 5 {
                listed.group_type = StrBytes::default();
            }
            if version < 4 {
                listed.group_state = StrBytes::default();
            }
            encodes(&ListGroupsResponse::default().with_groups(vec![listed]), version);
        }
    }
}
