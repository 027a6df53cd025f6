//! OffsetFetch (KIP-88, KIP-709): how far groups have read. What nobody has committed, whether the partition exists or
//! not, is offset -1 without an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{ApiKey, OffsetFetchRequest, OffsetFetchResponse, TopicName as WireTopicName};
use metastore::{CommittedOffset, GroupOffset, MetastoreError};
use tokio::time::{Instant, sleep};
use types::Offset;

use super::groups::{ask, elsewhere};
use super::wire::{NO_ERROR, check_group_id, code, parse_topic_name, text, topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, OFFSETS_UNAVAILABLE, of_group, of_metastore};
use crate::group::ask::{Ask, GroupError, Identity, MemberAsk};

/// First version that asks for several groups at once.
const GROUPS_SINCE: i16 = 8;
/// First version whose answer has room for an error of the whole group.
const GROUP_ERROR_SINCE: i16 = 2;

/// How long Postgres is asked again before a consumer hears that it is away, which few take well: librdkafka asks twice more and then
/// leaves the partitions alone for good. Less than the 30 s after which Java's consumer gives a request up.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(250);

/// What a group is asked for; `None`: everything.
type Wanted = Option<Vec<(WireTopicName, Vec<i32>)>>;

/// What a group has committed, in the order of the question.
type Found = Vec<(WireTopicName, Vec<(i32, CommittedOffset)>)>;

/// Answers for each group.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let give_up = Instant::now() + PATIENCE;
    if version >= GROUPS_SINCE {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            groups.push(answer_group(broker, client, version, group, give_up).await);
        }
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let topics = request.topics;
    let wanted = topics.map(|topics| {
        topics
            .into_iter()
            .map(|topic| (topic.name, topic.partition_indexes))
            .collect()
    });
    let found = find(broker, &request.group_id, &wanted, give_up).await;
    answer_one(version, wanted, found)
}

async fn answer_group(
    broker: &Broker,
    client: &Client,
    version: i16,
    group: OffsetFetchRequestGroup,
    give_up: Instant,
) -> OffsetFetchResponseGroup {
    let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
    if is_member(&group) {
        // Its coordinator knows the member's epoch.
        let alone = OffsetFetchRequest::default().with_groups(vec![group.clone()]);
        let key = ApiKey::OffsetFetch;
        let passed = elsewhere::<_, OffsetFetchResponse>(broker, client, key, version, &group.group_id, &alone);
        match passed.await {
            Some(Ok(mut response)) => return response.groups.pop().unwrap_or(answer),
            Some(Err(error)) => return answer.with_error_code(of_member(&error).code()),
            None => {}
        }
        if let Err(error) = ask(broker, &group.group_id, Ask::Fetch(member(&group))).await {
            return answer.with_error_code(of_member(&error).code());
        }
    }
    let topics = group.topics;
    let wanted = topics.map(|topics| {
        topics
            .into_iter()
            .map(|topic| (topic.name, topic.partition_indexes))
            .collect()
    });
    match find(broker, &group.group_id, &wanted, give_up).await {
        Ok(found) => answer.with_topics(found.into_iter().map(describe_topic).collect()),
        Err(error) => answer.with_error_code(error.code()),
    }
}

/// Whether somebody asks as a member of the new protocol (version 9 and up).
fn is_member(group: &OffsetFetchRequestGroup) -> bool {
    group.member_id.is_some() || group.member_epoch >= 0
}

fn member(group: &OffsetFetchRequestGroup) -> MemberAsk {
    MemberAsk {
        member: Identity {
            member_id: group.member_id.as_deref().unwrap_or_default().to_owned(),
            instance_id: None,
        },
        generation: group.member_epoch,
    }
}

async fn find(broker: &Broker, group: &str, wanted: &Wanted, give_up: Instant) -> Result<Found, ResponseError> {
    check_group_id(group)?;
    let names: Option<Vec<_>> = wanted.as_ref().map(|topics| {
        topics
            .iter()
            .filter_map(|(name, _)| parse_topic_name(name).ok())
            .collect()
    });
    loop {
        match broker.metastore.group_offsets(group, names.as_deref()).await {
            Ok(rows) => return Ok(arrange(rows, wanted)),
            Err(MetastoreError::Unavailable(error))
                if Instant::now() < give_up && !broker.fetcher.stopping.is_cancelled() =>
            {
                tracing::debug!(group.id = group, %error, "committed offsets will be asked for again");
                let pause = sleep(PAUSE);
                let _ = broker.fetcher.stopping.run_until_cancelled(pause).await;
            }
            Err(error) => {
                tracing::warn!(group.id = group, %error, "committed offsets cannot be read");
                return Err(of_metastore(&error, Asked::GroupOffsets));
            }
        }
    }
}

/// What a member is told whose coordinator cannot be asked.
fn of_member(error: &GroupError) -> ResponseError {
    match error {
        GroupError::Unavailable => OFFSETS_UNAVAILABLE,
        error => of_group(error),
    }
}

fn arrange(rows: Vec<GroupOffset>, wanted: &Wanted) -> Found {
    let mut committed: BTreeMap<_, BTreeMap<i32, CommittedOffset>> = BTreeMap::new();
    for GroupOffset {
        partition,
        committed: offset,
        ..
    } in rows
    {
        committed
            .entry(partition.topic)
            .or_default()
            .insert(partition.partition.0, offset);
    }
    let Some(wanted) = wanted else {
        return committed
            .into_iter()
            .map(|(topic, offsets)| (topic_name(&topic), offsets.into_iter().collect()))
            .collect();
    };
    let pick = |(name, indexes): &(WireTopicName, Vec<i32>)| {
        let offsets = parse_topic_name(name).ok().and_then(|name| committed.get(&name));
        let offset = |index: &i32| {
            offsets
                .and_then(|offsets| offsets.get(index))
                .cloned()
                .unwrap_or_else(nothing)
        };
        (
            name.clone(),
            indexes.iter().map(|index| (*index, offset(index))).collect(),
        )
    };
    wanted.iter().map(pick).collect()
}

fn nothing() -> CommittedOffset {
    CommittedOffset {
        offset: Offset::UNKNOWN,
        leader_epoch: -1,
        metadata: String::new(),
    }
}

fn describe_topic((name, partitions): (WireTopicName, Vec<(i32, CommittedOffset)>)) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|(index, committed)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(committed.offset.0)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(&committed.metadata)))
    });
    OffsetFetchResponseTopics::default()
        .with_name(name)
        .with_partitions(partitions.collect())
}

/// The answer up to version 7. Version 1 has no place for an error but the partitions.
fn answer_one(version: i16, wanted: Wanted, found: Result<Found, ResponseError>) -> OffsetFetchResponse {
    let error = found.as_ref().err().copied();
    let found = found.unwrap_or_else(|_| arrange(Vec::new(), &Some(wanted.unwrap_or_default())));
    let partition_error = if version < GROUP_ERROR_SINCE {
        code(error)
    } else {
        NO_ERROR
    };
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(committed.offset.0)
                .with_committed_leader_epoch(committed.leader_epoch)
                .with_metadata(Some(text(&committed.metadata)))
                .with_error_code(partition_error)
        });
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default()
        .with_topics(topics.collect())
        .with_error_code(code(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::encodes;
    use metastore::TopicPartition;
    use types::{PartitionIndex, TopicName, TopicNumber};

    fn row(topic: &str, partition: i32, offset: i64) -> GroupOffset {
        let partition = TopicPartition {
            topic: TopicName::new(topic).unwrap(),
            partition: PartitionIndex(partition),
        };
        let committed = CommittedOffset {
            offset: Offset(offset),
            leader_epoch: 0,
            metadata: "m".to_owned(),
        };
        GroupOffset {
            topic_number: TopicNumber(1),
            partition,
            committed,
        }
    }

    fn wanted(topic: &str, partitions: &[i32]) -> Wanted {
        Some(vec![(text(topic).into(), partitions.to_vec())])
    }

    #[test]
    fn what_nobody_committed_is_minus_one_with_empty_metadata() {
        let found = arrange(vec![row("t", 1, 9)], &wanted("t", &[0, 1]));
        assert_eq!(found[0].1[0], (0, nothing()));
        assert_eq!(found[0].1[1].1.offset, Offset(9));
        assert_eq!(arrange(vec![], &wanted("not a name", &[4]))[0].1, [(4, nothing())]);
    }

    #[test]
    fn null_asks_for_all_and_empty_for_nothing() {
        let rows = || vec![row("t", 0, 1), row("t", 1, 2), row("u", 0, 3)];
        assert_eq!(arrange(rows(), &None).len(), 2);
        assert!(arrange(rows(), &Some(vec![])).is_empty());
    }

    #[test]
    fn a_failure_shows_in_the_partitions_where_there_is_no_other_place() {
        let failed = |version| answer_one(version, wanted("t", &[0]), Err(ResponseError::CoordinatorNotAvailable));
        let code = ResponseError::CoordinatorNotAvailable.code();
        assert_eq!(failed(1).topics[0].partitions[0].error_code, code);
        assert_eq!(
            (failed(2).error_code, failed(2).topics[0].partitions[0].error_code),
            (code, NO_ERROR)
        );
        (1..=7).for_each(|version| encodes(&failed(version), version));
    }

    #[test]
    fn groups_can_be_sent_in_every_version_that_has_them() {
        let found = arrange(vec![row("t", 1, 9)], &wanted("t", &[0, 1]));
        let group = OffsetFetchResponseGroup::default()
            .with_group_id(text("g").into())
            .with_topics(found.into_iter().map(describe_topic).collect());
        let response = OffsetFetchResponse::default().with_groups(vec![group]);
        (8..=9).for_each(|version| encodes(&response, version));
    }
}
