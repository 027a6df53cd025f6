//! Topics in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{ClusterId, Offset, PartitionIndex, TimestampMs, TopicId, TopicName, TopicNumber};
use uuid::Builder;

use super::Connection;
use super::tables::{Tables, Topic};
use crate::topics::{in_the_way, metric_name};
use crate::{Growth, LogEnds, MetastoreError, NewTopic, TopicCreation, TopicInfo, TopicSettings, Topics};

/// A new partition.
const EMPTY: LogEnds = LogEnds {
    log_start: Offset(0),
    end: Offset(0),
    max_timestamp: TimestampMs(-1),
};

#[async_trait]
impl Topics for Connection {
    async fn topics(&self) -> Result<Vec<TopicInfo>, MetastoreError> {
        self.call("topics", |tables, _| tables.live_topics().cloned().collect())
            .await
    }

    async fn topics_by_name(&self, names: &[TopicName]) -> Result<Vec<TopicInfo>, MetastoreError> {
        self.call("topics_by_name", |tables, _| {
            tables.topics_where(|topic| names.contains(&topic.name))
        })
        .await
    }

    async fn topics_by_id(&self, ids: &[TopicId]) -> Result<Vec<TopicInfo>, MetastoreError> {
        self.call("topics_by_id", |tables, _| {
            tables.topics_where(|topic| ids.contains(&topic.id))
        })
        .await
    }

    async fn topics_in_the_way(&self, names: &[TopicName]) -> Result<Vec<Option<TopicCreation>>, MetastoreError> {
        self.call("topics_in_the_way", |tables, _| {
            names.iter().map(|name| tables.in_the_way(name)).collect()
        })
        .await
    }

    async fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicCreation>, MetastoreError> {
        let cluster = self.database.cluster;
        self.call("create_topics", |tables, _| tables.create_topics(topics, cluster))
            .await
    }

    async fn add_partitions(&self, id: TopicId, partition_count: i32) -> Result<Option<Growth>, MetastoreError> {
        self.call("add_partitions", |tables, _| tables.add_partitions(id, partition_count))
            .await
    }

    async fn replace_settings(
        &self,
        id: TopicId,
        expected: &TopicSettings,
        settings: &TopicSettings,
    ) -> Result<bool, MetastoreError> {
        let replace = self.call("replace_settings", |tables, _| {
            let topic = tables.live_topic_mut(id).filter(|topic| topic.settings == *expected);
            topic.map(|topic| topic.settings = settings.clone()).is_some()
        });
        replace.await
    }

    async fn delete_topic(&self, id: TopicId) -> Result<bool, MetastoreError> {
        let delete = self.call("delete_topic", |tables, _| {
            let mut topics = tables.topics.values_mut();
            let Some(topic) = topics.find(|topic| topic.info.id == id && !topic.deleted) else {
                return false;
            };
            topic.deleted = true;
            let number = topic.info.number;
            tables.partitions.retain(|(of, _), _| *of != number);
            true
        });
        delete.await
    }
}

impl Tables {
    fn topics_where(&self, wanted: impl Fn(&TopicInfo) -> bool) -> Vec<TopicInfo> {
        self.live_topics().filter(|topic| wanted(topic)).cloned().collect()
    }

    fn in_the_way(&self, name: &TopicName) -> Option<TopicCreation> {
        let alike = self
            .live_topics()
            .find(|topic| metric_name(&topic.name) == metric_name(name));
        in_the_way(name, alike)
    }

    /// In the order of names, as the SQL does; the answers are in the order given.
    fn create_topics(&mut self, topics: &[NewTopic], cluster: ClusterId) -> Vec<TopicCreation> {
        let mut ordered: Vec<(usize, &NewTopic)> = topics.iter().enumerate().collect();
        ordered.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let mut results = BTreeMap::new();
        for (place, topic) in ordered {
            let result = match self.in_the_way(&topic.name) {
                Some(in_the_way) => in_the_way,
                None => TopicCreation::Created(self.create_topic(topic, cluster)),
            };
            results.insert(place, result);
        }
        results.into_values().collect()
    }

    fn live_topic_mut(&mut self, id: TopicId) -> Option<&mut TopicInfo> {
        let live = self.topics.values_mut().filter(|topic| !topic.deleted);
        live.map(|topic| &mut topic.info).find(|topic| topic.id == id)
    }

    fn add_partitions(&mut self, id: TopicId, partition_count: i32) -> Option<Growth> {
        let topic = self.live_topic_mut(id)?;
        let (number, before) = (topic.number, topic.partition_count);
        topic.partition_count = before.max(partition_count);
        for index in before..partition_count {
            self.partitions.insert((number, PartitionIndex(index)), EMPTY);
        }
        Some(Growth::to(partition_count, before))
    }

    fn create_topic(&mut self, topic: &NewTopic, cluster: ClusterId) -> TopicInfo {
        let number = TopicNumber(self.topics.last_key_value().map_or(0, |(last, _)| last.0) + 1);
        let info = TopicInfo {
            number,
            id: topic_id(cluster, number),
            name: topic.name.clone(),
            partition_count: topic.partition_count,
            settings: topic.settings.clone(),
        };
        let row = Topic {
            info: info.clone(),
            deleted: false,
        };
        self.topics.insert(number, row);
        for index in 0..topic.partition_count {
            self.partitions.insert((number, PartitionIndex(index)), EMPTY);
        }
        info
    }
}

/// Postgres draws a random one; here it is the same in every run, and another one in every cluster.
fn topic_id(cluster: ClusterId, number: TopicNumber) -> TopicId {
    let mut bytes = cluster.0.into_bytes();
    for (byte, of_number) in bytes[12..].iter_mut().zip(number.0.to_be_bytes()) {
        *byte ^= of_number;
    }
    // With version and variant bits it can never be the zero id, which means "none" on the wire.
    TopicId(Builder::from_custom_bytes(bytes).into_uuid())
}
