//! Sets of partitions, as members hold them and as members are to hold them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::{PartitionIndex, TopicId};

use super::Epoch;

/// One partition.
pub type Key = (TopicId, PartitionIndex);

/// Partitions, by topic. No topic is there without a partition, so that equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partitions(BTreeMap<TopicId, BTreeSet<PartitionIndex>>);

/// Partitions that a member holds, each with the epoch in which it was given to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Held(BTreeMap<TopicId, BTreeMap<PartitionIndex, Epoch>>);

impl Partitions {
    /// Adds a partition.
    pub fn insert(&mut self, (topic, partition): Key) {
        self.0.entry(topic).or_default().insert(partition);
    }

    /// Whether it is among them.
    pub fn contains(&self, (topic, partition): &Key) -> bool {
        self.0
            .get(topic)
            .is_some_and(|partitions| partitions.contains(partition))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Key> {
        let topics = self.0.iter();
        topics.flat_map(|(topic, partitions)| partitions.iter().map(move |partition| (*topic, *partition)))
    }

    /// Topic by topic.
    pub fn by_topic(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<PartitionIndex>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Key> for Partitions {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut partitions = Self::default();
        keys.into_iter().for_each(|key| partitions.insert(key));
        partitions
    }
}

impl Held {
    /// All of `partitions`, given in `epoch`.
    pub fn since(epoch: Epoch, partitions: &Partitions) -> Self {
        let mut held = Self::default();
        partitions.iter().for_each(|key| held.insert(key, epoch));
        held
    }

    /// Adds a partition that was given in `epoch`.
    pub fn insert(&mut self, (topic, partition): Key, epoch: Epoch) {
        self.0.entry(topic).or_default().insert(partition, epoch);
    }

    /// The epoch in which a partition was given; `None`: it is not held.
    pub fn epoch_of(&self, (topic, partition): &Key) -> Option<Epoch> {
        self.0.get(topic)?.get(partition).copied()
    }

    /// Whether it is held.
    pub fn contains(&self, key: &Key) -> bool {
        self.epoch_of(key).is_some()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Epoch)> {
        let topics = self.0.iter();
        topics.flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(move |(partition, epoch)| ((*topic, *partition), *epoch))
        })
    }

    /// All of them, whenever they were given.
    pub fn partitions(&self) -> Partitions {
        self.iter().map(|(key, _)| key).collect()
    }

    /// Those that `keep` takes, and the others.
    pub fn split(&self, keep: impl Fn(&Key) -> bool) -> (Self, Self) {
        let (mut kept, mut rest) = (Self::default(), Self::default());
        for (key, epoch) in self.iter() {
            let side = if keep(&key) { &mut kept } else { &mut rest };
            side.insert(key, epoch);
        }
        (kept, rest)
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        others.iter().for_each(|(key, epoch)| all.insert(key, epoch));
        all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
