//! Finding an agent to talk to: Metadata from anybody, and the leader it names.

use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::{Clients, Partition};
use crate::random::Dice;

/// How long a question may take.
pub const PATIENCE: Duration = Duration::from_secs(3);

const METADATA_VERSION: i16 = 9;

/// A topic's name as requests carry it.
pub fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

impl Clients {
    /// Host of the leader of `partition`, as any agent says.
    pub async fn leader(&self, partition: &Partition, dice: &Dice) -> anyhow::Result<String> {
        let (mut connection, _) = Connection::open(&self.network, &self.any_host(dice)).await?;
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(&partition.0)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let response = connection.call(&request, METADATA_VERSION, PATIENCE).await?;
        leader_in(&response, partition)
    }
}

fn leader_in(response: &MetadataResponse, partition: &Partition) -> anyhow::Result<String> {
    let topic = response.topics.first().context("no topic in the answer")?;
    ensure!(topic.error_code == 0, "topic error {}", topic.error_code);
    let partitions = &topic.partitions;
    let found = partitions.iter().find(|found| found.partition_index == partition.1);
    let leader = found.context("no such partition in the answer")?.leader_id;
    let broker = response.brokers.iter().find(|broker| broker.node_id == leader);
    Ok(broker.context("the leader is no broker")?.host.to_string())
}
