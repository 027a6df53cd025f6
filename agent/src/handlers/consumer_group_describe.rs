//! ConsumerGroupDescribe (KIP-848): members, what they have and what they are to have, from each group's coordinator.

use std::sync::Arc;

use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use kafka_protocol::messages::{ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId};

use super::describe_groups::ALL_OPERATIONS;
use super::groups::{ask, each, elsewhere};
use super::wire::{OPERATIONS_NOT_ASKED, text};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, Told};
use crate::group::consumer::partitions::Partitions;
use crate::group::consumer::{self, ConsumerGroup, Topics};

/// First version that tells by which protocol a member speaks.
const MEMBER_TYPE_SINCE: i16 = 1;
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

/// Answers for each group.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let operations = if request.include_authorized_operations {
        ALL_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let one = |group| describe(broker, client, version, group, operations);
    ConsumerGroupDescribeResponse::default().with_groups(each(request.group_ids, one).await)
}

async fn describe(broker: &Broker, client: &Client, version: i16, group: GroupId, operations: i32) -> DescribedGroup {
    let alone = ConsumerGroupDescribeRequest::default()
        .with_group_ids(vec![group.clone()])
        .with_include_authorized_operations(operations != OPERATIONS_NOT_ASKED);
    let key = ApiKey::ConsumerGroupDescribe;
    let passed = elsewhere::<_, ConsumerGroupDescribeResponse>(broker, client, key, version, &group, &alone);
    let described = match passed.await {
        None => match ask(broker, &group, Ask::ConsumerDescribe).await {
            Ok(Told::ConsumerGroup(state)) => Ok(show(&state, broker.cluster.snapshot().as_ref(), version)),
            Ok(_) => Err(GroupError::Unavailable),
            Err(error) => Err(error),
        },
        Some(Ok(mut response)) => return response.groups.pop().unwrap_or_default(),
        Some(Err(error)) => Err(error),
    };
    described
        .unwrap_or_else(|error| refused(&group, &error))
        .with_group_id(group)
        .with_authorized_operations(operations)
}

fn refused(group: &str, error: &GroupError) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_code(of_group(error).code())
        .with_error_message(Some(text(&format!("Group {group}: {error}."))))
}

fn show(group: &ConsumerGroup, topics: &dyn Topics, version: i16) -> DescribedGroup {
    let members = group.members().map(|(id, member)| {
        let target = assignment(&group.target(id), topics);
        show_member(id, member, topics, version).with_target_assignment(target)
    });
    DescribedGroup::default()
        .with_group_state(text(group.state().name()))
        .with_group_epoch(group.epoch().0)
        .with_assignment_epoch(group.assignment_epoch().0)
        .with_assignor_name(text(group.assignor().name()))
        .with_members(members.collect())
}

fn show_member(id: &str, member: &consumer::Member, topics: &dyn Topics, version: i16) -> Member {
    let names = member.subscription.names.iter();
    let shown = Member::default()
        .with_member_id(text(id))
        .with_instance_id(member.instance_id.as_deref().map(text))
        .with_rack_id(member.rack_id.as_deref().map(text))
        .with_member_epoch(member.epoch.0)
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.client_host))
        .with_subscribed_topic_names(names.map(|name| text(name).into()).collect())
        .with_subscribed_topic_regex(member.subscription.regex.as_deref().map(text))
        .with_assignment(assignment(&member.assigned.partitions(), topics));
    if version < MEMBER_TYPE_SINCE {
        return shown;
    }
    shown.with_member_type(if member.classic.is_some() { CLASSIC } else { CONSUMER })
}

/// Without topics that were deleted.
fn assignment(partitions: &Partitions, topics: &dyn Topics) -> Assignment {
    let named = partitions.by_topic().filter_map(|(id, partitions)| {
        let topic = TopicPartitions::default()
            .with_topic_id(id.0)
            .with_topic_name(text(&topics.name_of(id)?).into());
        Some(topic.with_partitions(partitions.iter().map(|partition| partition.0).collect()))
    });
    Assignment::default().with_topic_partitions(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::consumer::{Epoch, NoTopics};
    use crate::handlers::wire::encodes;

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let member = consumer::Member {
            rack_id: Some("r".to_owned()),
            epoch: Epoch(2),
            ..consumer::Member::default()
        };
        for version in 0..=1 {
            let member = show_member("m", &member, &NoTopics, version);
            let group = show(&ConsumerGroup::default(), &NoTopics, version).with_members(vec![member]);
            let missing = refused("g", &GroupError::NotFound);
            let answer = ConsumerGroupDescribeResponse::default().with_groups(vec![group, missing]);
            encodes(&answer, version);
        }
    }
}
