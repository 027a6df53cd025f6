//! Topics: found by name or id, created with their partitions, deleted with them. A topic's number is never used
//! twice; that of a deleted one is never shown again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{PartitionIndex, TopicId, TopicName, TopicNumber};

use crate::MetastoreError;

/// A live topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// What other tables call it.
    pub number: TopicNumber,
    /// What Kafka clients and objects call it.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Its partitions are 0 up to this.
    pub partition_count: i32,
    /// What its creator set.
    pub settings: TopicSettings,
}

impl TopicInfo {
    /// Whether it has this partition.
    pub fn has_partition(&self, index: PartitionIndex) -> bool {
        (0..self.partition_count).contains(&index.0)
    }
}

/// Topic settings by Kafka's name, only those that somebody set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings(pub BTreeMap<String, String>);

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// At least 1.
    pub partition_count: i32,
    /// Its settings, already checked.
    pub settings: TopicSettings,
}

/// What became of one topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicCreation {
    /// It is there now, with all its partitions.
    Created(TopicInfo),
    /// A topic of that name is there already.
    AlreadyExists(TopicInfo),
    /// A topic is there whose name differs in '.' and '_' only: Kafka keeps those apart from each other nowhere in
    /// its metrics, so it refuses the second one.
    Collides(TopicInfo),
}

/// What became of a topic that was to get more partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It has as many as wanted now.
    Grown,
    /// It had as many already, or more: this many.
    NotMore(i32),
}

/// The table of topics.
#[async_trait]
pub trait Topics {
    /// Every live topic.
    async fn topics(&self) -> Result<Vec<TopicInfo>, MetastoreError>;

    /// Those of `names` that live, in no order.
    async fn topics_by_name(&self, names: &[TopicName]) -> Result<Vec<TopicInfo>, MetastoreError>;

    /// The live topic of that name.
    async fn topic_by_name(&self, name: &TopicName) -> Result<Option<TopicInfo>, MetastoreError> {
        Ok(self.topics_by_name(std::slice::from_ref(name)).await?.pop())
    }

    /// Those of `ids` that live, in no order.
    async fn topics_by_id(&self, ids: &[TopicId]) -> Result<Vec<TopicInfo>, MetastoreError>;

    /// What creating topics of these names would find in the way, in the order given; creates nothing.
    async fn topics_in_the_way(&self, names: &[TopicName]) -> Result<Vec<Option<TopicCreation>>, MetastoreError>;

    /// Creates topics with their partitions, all that can be in one transaction; one result each, in the order given.
    async fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicCreation>, MetastoreError>;

    /// Gives a topic so many partitions, the new ones empty; `None`: it is not there.
    async fn add_partitions(&self, id: TopicId, partition_count: i32) -> Result<Option<Growth>, MetastoreError>;

    /// Replaces a topic's settings if they still are those `expected`; false when they are not, or the topic is gone. Whoever
    /// derives new settings from old ones reads them again then, so that of two changes at once none is lost.
    async fn replace_settings(
        &self,
        id: TopicId,
        expected: &TopicSettings,
        settings: &TopicSettings,
    ) -> Result<bool, MetastoreError>;

    /// Deletes a topic and its partition rows; false when it was not there. Batches of it that are not yet committed
    /// end as "topic deleted"; its group offsets are no longer shown.
    async fn delete_topic(&self, id: TopicId) -> Result<bool, MetastoreError>;
}

impl Growth {
    /// What a topic that had `before` partitions becomes when it is to have `wanted`.
    pub(crate) fn to(wanted: i32, before: i32) -> Self {
        if before < wanted {
            Self::Grown
        } else {
            Self::NotMore(before)
        }
    }
}

/// What stands in the way of a topic `name`, if `found` is the live topic whose [`metric_name`] is the same.
pub(crate) fn in_the_way(name: &TopicName, found: Option<&TopicInfo>) -> Option<TopicCreation> {
    let found = found?.clone();
    Some(if found.name == *name {
        TopicCreation::AlreadyExists(found)
    } else {
        TopicCreation::Collides(found)
    })
}

/// What Kafka's metrics make of a topic's name (`Topic.unifyCollisionChars`); the index `topics_live_metric_name` too.
pub(crate) fn metric_name(name: &TopicName) -> String {
    name.as_str().replace('.', "_")
}
