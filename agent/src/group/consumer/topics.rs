//! What a group has to know of the cluster's topics.

use std::collections::BTreeSet;

use types::{TopicId, TopicName};

use super::Subscription;
use super::pattern::Patterns;
use crate::cluster::view::ClusterSnapshot;

/// A topic, as far as groups care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicShape {
    /// Its id.
    pub id: TopicId,
    /// Its partitions are 0 up to this.
    pub partition_count: i32,
}

/// The topics that there are.
pub trait Topics: std::fmt::Debug {
    /// The topic of that name.
    fn by_name(&self, name: &str) -> Option<TopicShape>;

    /// The name of the topic of that id.
    fn name_of(&self, id: TopicId) -> Option<String>;

    /// The names of all topics.
    fn names(&self) -> Vec<&str>;
}

impl Topics for ClusterSnapshot {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        let topic = self.topic_by_name(&TopicName::new(name).ok()?)?;
        Some(TopicShape {
            id: topic.id,
            partition_count: topic.partition_count,
        })
    }

    fn name_of(&self, id: TopicId) -> Option<String> {
        self.topic_by_id(id).map(|topic| topic.name.as_str().to_owned())
    }

    fn names(&self) -> Vec<&str> {
        self.topics().map(|topic| topic.name.as_str()).collect()
    }
}

/// The topics that exist among those a member subscribes to.
pub(super) fn subscribed(
    subscription: &Subscription,
    patterns: &Patterns,
    topics: &dyn Topics,
) -> BTreeSet<TopicShape> {
    let matched = subscription.regex.as_deref().and_then(|regex| patterns.matched(regex));
    let names = subscription.names.iter().chain(matched.into_iter().flatten());
    names.filter_map(|name| topics.by_name(name)).collect()
}

/// A number that changes when one of these topics is created, deleted, or gets partitions: FNV-1a over all of them.
pub(super) fn fingerprint(topics: &BTreeSet<TopicShape>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for topic in topics {
        topic.id.0.as_bytes().iter().copied().for_each(&mut add);
        topic.partition_count.to_be_bytes().into_iter().for_each(&mut add);
    }
    hash
}

/// No topics at all, for tests that have nothing to do with them.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoTopics;

#[cfg(test)]
impl Topics for NoTopics {
    fn by_name(&self, _name: &str) -> Option<TopicShape> {
        None
    }

    fn name_of(&self, _id: TopicId) -> Option<String> {
        None
    }

    fn names(&self) -> Vec<&str> {
        vec![]
    }
}
