//! DeleteGroups (KIP-229): groups without members, and their offsets.

use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::groups::{ask, each, elsewhere};
use super::wire::NO_ERROR;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError};

/// Answers for each group.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let one = |group| delete(broker, client, version, group);
    DeleteGroupsResponse::default().with_results(each(request.groups_names, one).await)
}

async fn delete(broker: &Broker, client: &Client, version: i16, group: GroupId) -> DeletableGroupResult {
    let alone = DeleteGroupsRequest::default().with_groups_names(vec![group.clone()]);
    let passed = elsewhere::<_, DeleteGroupsResponse>(broker, client, ApiKey::DeleteGroups, version, &group, &alone);
    let deleted = match passed.await {
        None => ask(broker, &group, Ask::Delete).await.map(|_| ()),
        Some(Ok(mut response)) => return response.results.pop().unwrap_or_default(),
        Some(Err(error)) => Err(error),
    };
    result(group, &deleted)
}

fn result(group: GroupId, deleted: &Result<(), GroupError>) -> DeletableGroupResult {
    let code = deleted
        .as_ref()
        .map_or_else(|error| of_group(error).code(), |()| NO_ERROR);
    DeletableGroupResult::default()
        .with_group_id(group)
        .with_error_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::{encodes, text};

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let results = vec![result(GroupId(text("g")), &Err(GroupError::NotEmpty))];
        let response = DeleteGroupsResponse::default().with_results(results);
        (0..=2).for_each(|version| encodes(&response, version));
    }
}
