//! ListOffsets: every answer comes from Postgres, and, for a time, from the batches themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use metastore::LogEnds;
use record_batch::RecordMeta;
use tokio::time::{Instant, timeout_at};
use types::{Offset, PartitionIndex, TimestampMs, TopicName};

use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked, SEARCH_TIMED_OUT, of_leader_epoch, of_metastore, of_search};
use crate::fetch::search::{SearchError, TimeSearch};
use crate::fetch::wait::PartitionKey;
use crate::leader_epoch::{self, LEADER_EPOCH};

/// First version that says how long the client waits (KIP-1075).
const TIMEOUT_SINCE: i16 = 10;
/// How long others wait (Kafka's clients: `default.api.timeout.ms` is twice that).
const TIMEOUT: Duration = Duration::from_secs(30);
/// First version with a leader epoch (KIP-320).
const EPOCH_SINCE: i16 = 4;
/// Partitions of one request looked at together.
const TOGETHER: usize = 4;

/// What a timestamp of a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// The end of the log: also that of what is stable, for there are no transactions.
    Latest,
    /// The start of the log, on this broker's disk or not (KIP-405).
    Earliest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// What lies in tiered storage, or has yet to go there (KIP-1005, KIP-1023): there is none.
    Tiered,
    /// The first record at or after a time (KIP-79).
    At(TimestampMs),
}

impl Spec {
    /// `None`: not in this version. Kafka refuses a special timestamp below the version that brought it.
    fn of(version: i16, timestamp: i64) -> Option<Self> {
        let (spec, since) = match timestamp {
            -1 => (Self::Latest, 1),
            -2 => (Self::Earliest, 1),
            -3 => (Self::MaxTimestamp, 7),
            -4 => (Self::Earliest, 8),
            -5 => (Self::Tiered, 9),
            -6 => (Self::Tiered, 11),
            0.. => (Self::At(TimestampMs(timestamp)), 1),
            _ => return None,
        };
        (version >= since).then_some(spec)
    }
}

/// A position: an offset, and the timestamp of the record there where one was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    offset: Offset,
    timestamp: TimestampMs,
}

const NO_TIMESTAMP: TimestampMs = TimestampMs(-1);

const NOWHERE: Position = Position {
    offset: Offset::UNKNOWN,
    timestamp: NO_TIMESTAMP,
};

/// What a partition is known by, or why it is refused.
type Looked<'a> = (&'a ListOffsetsPartition, Result<(PartitionKey, Spec), ResponseError>);

/// Answers one ListOffsets request.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let deadline = Instant::now() + patience(version, request.timeout_ms);
    let duplicates = duplicates(&request.topics);
    let mut topics: Vec<(&ListOffsetsTopic, Vec<Looked<'_>>)> = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        topics.push((topic, look_up(broker, version, topic, &duplicates).await));
    }
    let wanted = topics.iter().flat_map(|(_, partitions)| partitions);
    let keys: Vec<PartitionKey> = wanted.filter_map(|(_, looked)| Some(looked.as_ref().ok()?.0)).collect();
    let ends = broker.metastore.log_ends(&keys).await;
    let ends = ends.map_err(|error| of_metastore(&error, Asked::Log));
    let mut answers = Vec::with_capacity(topics.len());
    for (topic, partitions) in topics {
        let finding: Vec<_> = partitions
            .iter()
            .map(|(_, looked)| find(broker, *looked, &ends, deadline))
            .collect();
        let positions: Vec<_> = stream::iter(finding).buffered(TOGETHER).collect().await;
        let responses = partitions.iter().zip(positions);
        let responses = responses.map(|((asked, _), position)| partition_response(version, asked, position));
        let answer = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
        answers.push(answer.with_partitions(responses.collect()));
    }
    ListOffsetsResponse::default().with_topics(answers)
}

fn patience(version: i16, timeout_ms: i32) -> Duration {
    match u64::try_from(timeout_ms) {
        Ok(timeout_ms @ 1..) if version >= TIMEOUT_SINCE => Duration::from_millis(timeout_ms),
        Ok(_) | Err(_) => TIMEOUT,
    }
}

/// Partitions named more than once: Kafka answers INVALID_REQUEST for those.
fn duplicates(topics: &[ListOffsetsTopic]) -> BTreeSet<(String, i32)> {
    let named = topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|p| (topic.name.to_string(), p.partition_index))
    });
    let mut seen = BTreeSet::new();
    named.filter(|key| !seen.insert(key.clone())).collect()
}

async fn look_up<'a>(
    broker: &Broker,
    version: i16,
    topic: &'a ListOffsetsTopic,
    duplicates: &BTreeSet<(String, i32)>,
) -> Vec<Looked<'a>> {
    let found = find_topic(broker, topic).await;
    let look = |partition: &'a ListOffsetsPartition| {
        let is_double = duplicates.contains(&(topic.name.to_string(), partition.partition_index));
        let looked = match &found {
            _ if is_double => Err(ResponseError::InvalidRequest),
            Ok(found) => check(version, found, partition),
            Err(error) => Err(*error),
        };
        (partition, looked)
    };
    topic.partitions.iter().map(look).collect()
}

async fn find_topic(broker: &Broker, topic: &ListOffsetsTopic) -> Result<Arc<Topic>, ResponseError> {
    let name = TopicName::new(&topic.name).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
    let found = broker.cluster.find_topic_by_name(&name).await;
    let found = found.map_err(|error| of_metastore(&error, Asked::Log))?;
    found.ok_or(ResponseError::UnknownTopicOrPartition)
}

fn check(version: i16, topic: &Topic, partition: &ListOffsetsPartition) -> Result<(PartitionKey, Spec), ResponseError> {
    let spec = Spec::of(version, partition.timestamp).ok_or(ResponseError::UnsupportedVersion)?;
    leader_epoch::check(partition.current_leader_epoch).map_err(of_leader_epoch)?;
    Ok(((topic.number, PartitionIndex(partition.partition_index)), spec))
}

async fn find(
    broker: &Broker,
    looked: Result<(PartitionKey, Spec), ResponseError>,
    ends: &Result<BTreeMap<PartitionKey, LogEnds>, ResponseError>,
    deadline: Instant,
) -> Result<Position, ResponseError> {
    let (key, spec) = looked?;
    let ends = ends.as_ref().map_err(|error| *error)?;
    let ends = *ends.get(&key).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let search = TimeSearch {
        metastore: &broker.metastore,
        reader: &broker.fetcher.reader,
        searches: &broker.fetcher.searches,
        partition: key,
        ends,
    };
    let at = |offset| Position {
        offset,
        timestamp: NO_TIMESTAMP,
    };
    let found = async {
        match spec {
            Spec::Latest => Ok(at(ends.end)),
            Spec::Earliest => Ok(at(ends.log_start)),
            Spec::Tiered => Ok(NOWHERE),
            Spec::MaxTimestamp | Spec::At(_) if ends.end == ends.log_start => Ok(NOWHERE),
            Spec::MaxTimestamp => Ok(position(search.latest().await?)),
            Spec::At(timestamp) => Ok(position(search.first_at_or_after(timestamp).await?)),
        }
    };
    let found: Result<Position, SearchError> = timeout_at(deadline, found).await.map_err(|_| SEARCH_TIMED_OUT)?;
    found.map_err(|error| {
        tracing::error!(topic.number = key.0.0, partition.index = key.1.0, %error, "cannot look for a time");
        of_search(&error)
    })
}

fn position(record: Option<RecordMeta>) -> Position {
    record.map_or(NOWHERE, |record| Position {
        offset: record.offset,
        timestamp: record.timestamp,
    })
}

fn partition_response(
    version: i16,
    asked: &ListOffsetsPartition,
    position: Result<Position, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let (error_code, position) = match position {
        Ok(position) => (0, position),
        Err(error) => (error.code(), NOWHERE),
    };
    let has_epoch = version >= EPOCH_SINCE && position.offset != Offset::UNKNOWN;
    ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(error_code)
        .with_timestamp(position.timestamp.0)
        .with_offset(position.offset.0)
        .with_leader_epoch(if has_epoch { LEADER_EPOCH } else { -1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_special_timestamp_is_known_from_the_version_on_that_brought_it() {
        let since = |timestamp| (1..=20).find(|version| Spec::of(*version, timestamp).is_some());
        let known: Vec<_> = (-7..=0).rev().map(since).collect();
        assert_eq!(
            known,
            [Some(1), Some(1), Some(1), Some(7), Some(8), Some(9), Some(11), None]
        );
    }

    #[test]
    fn a_client_that_says_how_long_it_waits_is_waited_for_no_longer() {
        assert_eq!(patience(10, 1500), Duration::from_millis(1500));
        assert_eq!(patience(10, 0), TIMEOUT);
        assert_eq!(patience(9, 1500), TIMEOUT);
    }
}
