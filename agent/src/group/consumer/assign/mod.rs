//! Who is to have which partition: the assignors that run in the coordinator (KIP-848, "Server Side Assignors"). Pure.
//!
//! Both give every partition of a topic to exactly one of the members that subscribe to it, and leave as much as possible
//! where it was. The same members, topics and previous targets give the same result on every agent.

mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::{PartitionIndex, TopicId};

use super::partitions::{Key, Partitions};
use super::topics::TopicShape;

/// The assignors, by Kafka's names; the first is the default (`group.consumer.assignors`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assignor {
    /// Spreads all partitions over all members.
    #[default]
    Uniform,
    /// Gives out each topic in ranges, so that partitions of the same number meet.
    Range,
}

/// A member, as an assignor sees it.
#[derive(Debug)]
pub(super) struct Subscriber<'a> {
    /// Its member id.
    pub id: &'a str,
    /// Its instance id, if it has one.
    pub instance_id: Option<&'a str>,
    /// The topics that it reads.
    pub topics: BTreeSet<TopicShape>,
    /// What it was to have until now.
    pub before: &'a Partitions,
}

/// What each member is to have.
pub(super) type Targets = BTreeMap<String, Partitions>;

impl Assignor {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Gives out all partitions of all topics that anybody subscribes to.
    pub(super) fn assign(self, subscribers: &[Subscriber<'_>]) -> Targets {
        let owners = match self {
            Self::Uniform => uniform::assign(subscribers),
            Self::Range => range::assign(subscribers),
        };
        // Members that get nothing have a target as well.
        let mut targets: Vec<Partitions> = subscribers.iter().map(|_| Partitions::default()).collect();
        owners.into_iter().for_each(|(key, owner)| targets[owner].insert(key));
        let ids = subscribers.iter().map(|subscriber| subscriber.id.to_owned());
        ids.zip(targets).collect()
    }
}

/// Who subscribes to each topic: places in the list of subscribers, ascending.
fn by_topic(subscribers: &[Subscriber<'_>]) -> BTreeMap<TopicShape, Vec<usize>> {
    let mut by_topic: BTreeMap<TopicShape, Vec<usize>> = BTreeMap::new();
    for (place, subscriber) in subscribers.iter().enumerate() {
        for topic in &subscriber.topics {
            by_topic.entry(*topic).or_default().push(place);
        }
    }
    by_topic
}

/// Who was to have each partition, of those that still may have it.
fn owners_before(subscribers: &[Subscriber<'_>]) -> BTreeMap<Key, usize> {
    let mut owners = BTreeMap::new();
    for (place, subscriber) in subscribers.iter().enumerate() {
        let counts: BTreeMap<TopicId, i32> = subscriber
            .topics
            .iter()
            .map(|topic| (topic.id, topic.partition_count))
            .collect();
        let exists = |(topic, partition): &Key| counts.get(topic).is_some_and(|count| partition.0 < *count);
        for key in subscriber.before.iter().filter(exists) {
            owners.entry(key).or_insert(place);
        }
    }
    owners
}

fn partitions_of(topic: &TopicShape) -> impl Iterator<Item = Key> {
    let id = topic.id;
    (0..topic.partition_count).map(move |index| (id, PartitionIndex(index)))
}
