//! OffsetForLeaderEpoch (KIP-279, KIP-320): where an epoch's records end. There is one epoch for ever: no log here is ever cut
//! back, so that it ends where the log ends.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use types::{Offset, PartitionIndex};

use super::lookup::topic_named;
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked, of_leader_epoch, of_metastore};
use crate::leader_epoch::{self, LEADER_EPOCH};

/// "No epoch".
const NO_EPOCH: i32 = -1;

/// An epoch and where it ends.
type EpochEnd = (i32, Offset);

/// What is answered for an epoch that never was.
const NEVER: EpochEnd = (NO_EPOCH, Offset::UNKNOWN);

/// Answers for every partition that is named; ends of logs come from Postgres.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        topics.push(describe_topic(broker, topic).await);
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

async fn describe_topic(broker: &Broker, topic: &OffsetForLeaderTopic) -> OffsetForLeaderTopicResult {
    let ends = match topic_named(broker, &topic.topic, Asked::Log).await {
        Ok(found) => ends(broker, &found, &topic.partitions).await,
        Err(error) => topic.partitions.iter().map(|_| Err(error)).collect(),
    };
    let partitions = topic.partitions.iter().zip(ends);
    let partitions = partitions.map(|(partition, end)| {
        let end = end.and_then(|end| epoch_end(partition.current_leader_epoch, partition.leader_epoch, end));
        answer(partition.partition, end)
    });
    OffsetForLeaderTopicResult::default()
        .with_topic(topic.topic.clone())
        .with_partitions(partitions.collect())
}

/// The end of each partition's log, in order.
async fn ends(
    broker: &Broker,
    topic: &Topic,
    partitions: &[OffsetForLeaderPartition],
) -> Vec<Result<Offset, ResponseError>> {
    let key = |partition: &OffsetForLeaderPartition| (topic.number, PartitionIndex(partition.partition));
    let keys: Vec<_> = partitions.iter().map(key).collect();
    match broker.metastore.log_ends(&keys).await {
        Ok(ends) => {
            let end = |key| ends.get(key).map(|ends| ends.end);
            keys.iter()
                .map(|key| end(key).ok_or(ResponseError::UnknownTopicOrPartition))
                .collect()
        }
        Err(error) => keys.iter().map(|_| Err(of_metastore(&error, Asked::Log))).collect(),
    }
}

/// Where `asked` ends, for a client that takes `current` for the epoch of the leader.
fn epoch_end(current: i32, asked: i32, log_end: Offset) -> Result<EpochEnd, ResponseError> {
    leader_epoch::check(current).map_err(of_leader_epoch)?;
    Ok(if asked == LEADER_EPOCH {
        (LEADER_EPOCH, log_end)
    } else {
        NEVER
    })
}

fn answer(partition: i32, end: Result<EpochEnd, ResponseError>) -> EpochEndOffset {
    let (error_code, (epoch, offset)) = match end {
        Ok(end) => (0, end),
        Err(error) => (error.code(), NEVER),
    };
    EpochEndOffset::default()
        .with_error_code(error_code)
        .with_partition(partition)
        .with_leader_epoch(epoch)
        .with_end_offset(offset.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_epoch_ends_where_the_log_ends_and_others_never_were() {
        let end = Offset(42);
        assert_eq!(epoch_end(-1, 0, end), Ok((0, end)));
        assert_eq!(epoch_end(0, 0, end), Ok((0, end)));
        assert_eq!(epoch_end(0, 1, end), Ok(NEVER));
        assert_eq!(epoch_end(0, -1, end), Ok(NEVER));
        assert_eq!(epoch_end(1, 0, end), Err(ResponseError::UnknownLeaderEpoch));
    }
}
