//! DescribeTopicPartitions (KIP-966): topics by name, so many partitions at a time; a cursor says where the next answer
//! starts.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use types::TopicName;

use super::wire::{OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, broker_id, text, topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::placement::Placement;
use crate::cluster::view::{ClusterSnapshot, Topic};
use crate::error::{Asked, of_metastore, of_topic_name};
use crate::leader_epoch::LEADER_EPOCH;

/// Most partitions of one answer (Kafka: `max.request.partition.size.limit`).
pub const PARTITIONS_PER_ANSWER_MAX: i32 = 2000;

/// A topic to be described, or why it cannot be.
type Found<'a> = (&'a str, Result<&'a Topic, ResponseError>);

/// What one answer says: partitions of topics, and where the next one starts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    /// Place of each topic among those found, and its partitions.
    topics: Vec<(usize, std::ops::Range<i32>)>,
    /// Place and partition.
    next: Option<(usize, i32)>,
}

/// Answers with as many partitions as fit, from the cursor on.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    // In order and each once, as a cursor needs it.
    let named: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let (snapshot, failure) = look_up(broker, &named).await;
    let (from, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index.max(0)),
        None => ("", 0),
    };
    let found: Vec<Found<'_>> = if named.is_empty() {
        let all = snapshot.topics().map(|topic| (topic.name.as_str(), Ok(&**topic)));
        all.filter(|(name, _)| *name >= from).collect()
    } else {
        let wanted = named.range(from..).map(|name| (*name, find(&snapshot, name, failure)));
        wanted.collect()
    };
    // The cursor's topic may be gone: what follows it starts at its first partition.
    let skipped = if found.first().is_some_and(|(name, _)| *name == from) {
        first_partition
    } else {
        0
    };
    let limit = request.response_partition_limit.clamp(1, PARTITIONS_PER_ANSWER_MAX);
    let page = page(&found, skipped, limit);
    let placement = broker.placement(client);
    let topics = page.topics.into_iter().map(|(place, partitions)| match found[place] {
        (_, Ok(topic)) => describe(topic, partitions, &placement),
        (name, Err(error)) => failed(name, error),
    });
    let next = page.next.map(|(place, partition)| {
        Cursor::default()
            .with_topic_name(text(found[place].0).into())
            .with_partition_index(partition)
    });
    DescribeTopicPartitionsResponse::default()
        .with_topics(topics.collect())
        .with_next_cursor(next)
}

/// A snapshot with all that is named, or why what it lacks may exist all the same.
async fn look_up(broker: &Broker, named: &BTreeSet<&str>) -> (Arc<ClusterSnapshot>, Option<ResponseError>) {
    let names: Vec<TopicName> = named.iter().filter_map(|name| TopicName::new(name).ok()).collect();
    let renewed = if named.is_empty() {
        broker.cluster.renewed().await
    } else {
        let has_all = |snapshot: &ClusterSnapshot| names.iter().all(|name| snapshot.topic_by_name(name).is_some());
        broker.cluster.with(has_all).await
    };
    match renewed {
        Ok(snapshot) => (snapshot, None),
        Err(error) => (broker.cluster.snapshot(), Some(of_metastore(&error, Asked::Topics))),
    }
}

fn find<'a>(
    snapshot: &'a ClusterSnapshot,
    name: &str,
    failure: Option<ResponseError>,
) -> Result<&'a Topic, ResponseError> {
    let name = TopicName::new(name).map_err(|error| of_topic_name(&error))?;
    let found = snapshot.topic_by_name(&name).map(|topic| &**topic);
    found.ok_or(failure.unwrap_or(ResponseError::UnknownTopicOrPartition))
}

/// Which partitions fit, if the first topic starts at `skipped`.
fn page(found: &[Found<'_>], skipped: i32, limit: i32) -> Page {
    let mut page = Page::default();
    let mut left = limit;
    for (place, (_, topic)) in found.iter().enumerate() {
        let from = if place == 0 { skipped } else { 0 };
        let count = topic.as_ref().map_or(0, |topic| topic.partition_count);
        if left == 0 {
            page.next = Some((place, from));
            break;
        }
        let until = count.min(from.saturating_add(left)).max(from);
        page.topics.push((place, from..until));
        left -= until - from;
        if until < count {
            page.next = Some((place, until));
            break;
        }
    }
    page
}

fn describe(
    topic: &Topic,
    partitions: std::ops::Range<i32>,
    placement: &Placement,
) -> DescribeTopicPartitionsResponseTopic {
    let all = placement.replicas_of(topic.id, topic.partition_count);
    let of_partition = all.iter().zip(0..).filter(|(_, index)| partitions.contains(index));
    let partitions = of_partition.map(|(replicas, index)| {
        let replicas: Vec<BrokerId> = replicas.iter().copied().map(broker_id).collect();
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(replicas[0])
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas)
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id.0)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn failed(name: &str, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(text(name).into()))
        .with_error_code(error.code())
        .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metastore::TopicSettings;
    use types::{TopicId, TopicNumber};
    use uuid::Uuid;

    fn topic(name: &str, partition_count: i32) -> Topic {
        Topic {
            number: TopicNumber(1),
            id: TopicId(Uuid::from_u128(1)),
            name: TopicName::new(name).unwrap(),
            partition_count,
            settings: TopicSettings::default(),
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let topics = [topic("a", 3), topic("b", 1), topic("c", 5)];
        let all: Vec<Found<'_>> = topics.iter().map(|topic| (topic.name.as_str(), Ok(topic))).collect();
        for limit in 1..12 {
            let (mut place, mut skipped, mut seen) = (0, 0, Vec::new());
            loop {
                let page = page(&all[place..], skipped, limit);
                let partitions = page
                    .topics
                    .iter()
                    .flat_map(|(at, range)| range.clone().map(move |p| (place + at, p)));
                let before = seen.len();
                seen.extend(partitions);
                assert!(seen.len() - before <= limit as usize);
                let Some((at, partition)) = page.next else { break };
                (place, skipped) = (place + at, partition);
            }
            let expected: Vec<_> = (0..3)
                .flat_map(|n| (0..topics[n].partition_count).map(move |p| (n, p)))
                .collect();
            assert_eq!(seen, expected, "limit {limit}");
        }
    }

    #[test]
    fn a_topic_that_is_not_there_takes_no_place_and_a_cursor_past_the_end_finds_nothing() {
        let there = topic("b", 2);
        let found: [Found<'_>; 2] = [("a", Err(ResponseError::UnknownTopicOrPartition)), ("b", Ok(&there))];
        assert_eq!(page(&found, 0, 2).topics, [(0, 0..0), (1, 0..2)]);
        let past = page(&found[1..], 9, 2);
        assert_eq!((past.topics, past.next), (vec![(0, 9..9)], None));
    }
}
