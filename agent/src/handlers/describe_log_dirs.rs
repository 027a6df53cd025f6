//! DescribeLogDirs (KIP-113, KIP-827): how many bytes each log has in S3, from a count that commits keep.
//!
//! There is one place for all logs, and all agents share it. Consoles add up what brokers say, so each agent tells of the
//! partitions that this client finds at it, and of no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use metastore::MetastoreError;
use types::{PartitionIndex, TopicNumber};

use super::wire::{NO_ERROR, text, topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::placement::Placement;
use crate::cluster::view::{ClusterSnapshot, Topic};
use crate::error::{Asked, of_metastore};

/// "Not known": S3 has no end.
const UNKNOWN_BYTES: i64 = -1;

/// Topics with the partitions that are asked for; `None`: all of them.
type Asks<'a> = Option<BTreeMap<&'a str, BTreeSet<i32>>>;

/// Answers with the one place there is.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    _version: i16,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let place = DescribeLogDirsResult::default()
        .with_log_dir(text(&broker.log_dir))
        .with_total_bytes(UNKNOWN_BYTES)
        .with_usable_bytes(UNKNOWN_BYTES);
    let asked = asked(request.topics.as_deref());
    let place = match describe(broker, client, &asked).await {
        Ok(topics) => place.with_topics(topics),
        Err(error) => {
            tracing::warn!(%error, "sizes of logs are not known");
            place.with_error_code(of_metastore(&error, Asked::Log).code())
        }
    };
    DescribeLogDirsResponse::default()
        .with_error_code(NO_ERROR)
        .with_results(vec![place])
}

async fn describe(
    broker: &Broker,
    client: &Client,
    asked: &Asks<'_>,
) -> Result<Vec<DescribeLogDirsTopic>, MetastoreError> {
    // What was created a moment ago through another agent is part of the sum.
    let snapshot = broker.cluster.renewed().await?;
    let ours = ours(&snapshot, &broker.placement(client), broker, asked);
    let keys: Vec<_> = ours
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(|index| (topic.number, *index)))
        .collect();
    let bytes = broker.metastore.log_bytes(&keys).await?;
    Ok(ours.iter().map(|topic| describe_topic(topic, &bytes)).collect())
}

fn asked(topics: Option<&[DescribableLogDirTopic]>) -> Asks<'_> {
    let topics = topics?;
    Some(
        topics
            .iter()
            .map(|topic| (topic.topic.as_str(), topic.partitions.iter().copied().collect()))
            .collect(),
    )
}

/// What is asked for and led by us, as this client sees it.
fn ours<'a>(
    snapshot: &'a ClusterSnapshot,
    placement: &Placement,
    broker: &Broker,
    asked: &Asks<'_>,
) -> Vec<(&'a Arc<Topic>, Vec<PartitionIndex>)> {
    let own = placement.broker_of(broker.cluster.node_id());
    let mut found = Vec::new();
    for topic in snapshot.topics() {
        let wanted = asked.as_ref().map(|asked| asked.get(topic.name.as_str()));
        if wanted == Some(None) {
            continue;
        }
        let is_asked = |index: i32| wanted.flatten().is_none_or(|partitions| partitions.contains(&index));
        let replicas = placement.replicas_of(topic.id, topic.partition_count);
        let led = replicas
            .iter()
            .zip(0..)
            .filter(|(replicas, _)| replicas.first().copied() == own);
        let led = led.map(|(_, index)| index).filter(|index| is_asked(*index));
        let led: Vec<_> = led.map(PartitionIndex).collect();
        if !led.is_empty() {
            found.push((topic, led));
        }
    }
    found
}

fn describe_topic(
    (topic, partitions): &(&Arc<Topic>, Vec<PartitionIndex>),
    bytes: &BTreeMap<(TopicNumber, PartitionIndex), u64>,
) -> DescribeLogDirsTopic {
    // One that is missing was deleted just now.
    let sizes = partitions
        .iter()
        .filter_map(|index| Some((index, bytes.get(&(topic.number, *index))?)));
    let partitions = sizes.map(|(index, bytes)| {
        DescribeLogDirsPartition::default()
            .with_partition_index(index.0)
            .with_partition_size(i64::try_from(*bytes).unwrap_or(i64::MAX))
    });
    DescribeLogDirsTopic::default()
        .with_name(topic_name(&topic.name))
        .with_partitions(partitions.collect())
}
