//! ListOffsets: every answer comes from Postgres, and, for a time, from the batches themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use metastore::{IndexedRange, WantedRange};
use types::{Offset, PartitionIndex, TimestampMs, TopicName, TopicNumber};

use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked, of_metastore};
use crate::fetch::by_time::first_at_or_after;

/// "The end of the log" (KIP-79).
const LATEST: i64 = -1;
/// "The start of the log".
const EARLIEST: i64 = -2;
/// "The record with the largest timestamp" (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// "The start of the log on this broker's disk" (KIP-405): all there is.
const EARLIEST_LOCAL: i64 = -4;
/// "The end of the tiered log" (KIP-1005): nothing is tiered.
const LATEST_TIERED: i64 = -5;

/// A position: an offset, and the timestamp of the record there where one was looked for.
#[derive(Clone, Copy, Debug)]
struct Position {
    offset: Offset,
    timestamp: TimestampMs,
}

const NOWHERE: Position = Position {
    offset: Offset::UNKNOWN,
    timestamp: TimestampMs(-1),
};

/// Answers one ListOffsets request.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let duplicates = duplicates(&request.topics);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        topics.push(list_topic(broker, version, topic, &duplicates).await);
    }
    ListOffsetsResponse::default().with_topics(topics)
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

async fn list_topic(
    broker: &Broker,
    version: i16,
    topic: &ListOffsetsTopic,
    duplicates: &BTreeSet<(String, i32)>,
) -> ListOffsetsTopicResponse {
    let found = find_topic(broker, topic).await;
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for partition in &topic.partitions {
        let position = match &found {
            _ if duplicates.contains(&(topic.name.to_string(), partition.partition_index)) => {
                Err(ResponseError::InvalidRequest)
            }
            Ok(found) => list_partition(broker, found, partition).await,
            Err(error) => Err(*error),
        };
        partitions.push(partition_response(version, partition.partition_index, position));
    }
    ListOffsetsTopicResponse::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions)
}

async fn find_topic(broker: &Broker, topic: &ListOffsetsTopic) -> Result<Arc<Topic>, ResponseError> {
    let name = TopicName::new(&topic.name).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
    let found = broker.cluster.find_topic_by_name(&name).await;
    let found = found.map_err(|error| of_metastore(&error, Asked::Log))?;
    found.ok_or(ResponseError::UnknownTopicOrPartition)
}

async fn list_partition(
    broker: &Broker,
    topic: &Topic,
    partition: &ListOffsetsPartition,
) -> Result<Position, ResponseError> {
    if partition.current_leader_epoch > 0 {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    let key = (topic.number, PartitionIndex(partition.partition_index));
    let ends = broker
        .metastore
        .log_ends(&[key])
        .await
        .map_err(|error| of_metastore(&error, Asked::Log))?;
    let ends = ends.get(&key).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let at = |offset| {
        Ok(Position {
            offset,
            timestamp: TimestampMs(-1),
        })
    };
    match partition.timestamp {
        LATEST => at(ends.end),
        EARLIEST | EARLIEST_LOCAL => at(ends.log_start),
        LATEST_TIERED => Ok(NOWHERE),
        MAX_TIMESTAMP if ends.end == ends.log_start => Ok(NOWHERE),
        MAX_TIMESTAMP => by_time(broker, key, ends.max_timestamp).await,
        timestamp if timestamp >= 0 => by_time(broker, key, TimestampMs(timestamp)).await,
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

/// The first record at or after `timestamp`; nowhere when all are older.
///
/// The index knows the largest timestamp that producers claimed so far. Where a claim was larger than any record, the
/// row it leads to has no such record, and neither may the rows after it: the search goes on until one has.
async fn by_time(
    broker: &Broker,
    (topic, partition): (TopicNumber, PartitionIndex),
    timestamp: TimestampMs,
) -> Result<Position, ResponseError> {
    let of_postgres = |error| of_metastore(&error, Asked::Log);
    let first = broker
        .metastore
        .range_at_or_after(topic, partition, timestamp)
        .await
        .map_err(of_postgres)?;
    let Some(first) = first else { return Ok(NOWHERE) };
    let mut from = first.next_offset;
    let mut rows = vec![first];
    loop {
        for row in &rows {
            if let Some(position) = first_in_row(broker, row, timestamp).await? {
                return Ok(position);
            }
        }
        let wanted = WantedRange {
            topic,
            partition,
            from,
            bytes_max: u64::MAX,
            rows_max: 64,
        };
        let planned = broker.metastore.plan_fetch(&[wanted]).await.map_err(of_postgres)?;
        rows = planned
            .into_iter()
            .flatten()
            .next()
            .map(|planned| planned.ranges)
            .unwrap_or_default();
        let Some(last) = rows.last() else { return Ok(NOWHERE) };
        from = last.next_offset;
    }
}

async fn first_in_row(
    broker: &Broker,
    row: &IndexedRange,
    timestamp: TimestampMs,
) -> Result<Option<Position>, ResponseError> {
    let bytes = broker.fetcher.reader.read(&row.key, row.range).await.map_err(|error| {
        tracing::error!(object.key = %row.key, %error, "log is unreadable");
        ResponseError::KafkaStorageError
    })?;
    // Batches are decompressed: not on a thread that others wait for.
    let base_offset = row.base_offset;
    let search = tokio::task::spawn_blocking(move || first_at_or_after(&bytes, base_offset, timestamp));
    let record = search
        .await
        .map_err(|_| ResponseError::UnknownServerError)?
        .map_err(|error| {
            tracing::error!(object.key = %row.key, %error, "records are unreadable");
            ResponseError::KafkaStorageError
        })?;
    Ok(record.map(|record| Position {
        offset: record.offset,
        timestamp: record.timestamp,
    }))
}

fn partition_response(
    version: i16,
    index: i32,
    position: Result<Position, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let (error_code, position) = match position {
        Ok(position) => (0, position),
        Err(error) => (error.code(), NOWHERE),
    };
    let leader_epoch = if version >= 4 && position.offset != Offset::UNKNOWN {
        0
    } else {
        -1
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(error_code)
        .with_timestamp(position.timestamp.0)
        .with_offset(position.offset.0)
        .with_leader_epoch(leader_epoch)
}
