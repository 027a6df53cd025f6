//! A consumer group, as it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::TopicId;

use super::assign::Assignor;
use super::member::Member;
use super::partitions::{Key, Partitions};
use super::pattern::Patterns;
use super::topics::{self, TopicShape, Topics};
use super::{Epoch, Refusal};

/// The state of a group, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members.
    Empty,
    /// Something changed for which no targets are made yet.
    Assigning,
    /// Members are on their way to their targets.
    Reconciling,
    /// Everybody is there.
    Stable,
}

impl GroupState {
    /// As ConsumerGroupDescribe and ListGroups show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// All that a coordinator has to know of a group. Cheap to copy: members are shared until they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerGroup {
    /// Grows when members or topics change.
    pub(super) epoch: Epoch,
    /// The group epoch for which the targets were made.
    pub(super) assignment_epoch: Epoch,
    /// Tells whether the subscribed topics are still as they were when the epoch grew last.
    pub(super) topics_seen: u64,
    /// Members by their ids.
    pub(super) members: BTreeMap<String, Arc<Member>>,
    /// What each of them is to have.
    pub(super) targets: BTreeMap<String, Arc<Partitions>>,
    /// What the subscribed regular expressions match.
    pub(super) patterns: Patterns,
}

impl ConsumerGroup {
    /// A group without members, whose epochs come after those that a group of its name had.
    pub fn after(epoch: Epoch) -> Self {
        Self {
            epoch,
            assignment_epoch: epoch,
            ..Self::default()
        }
    }

    /// The group's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The group epoch for which the targets were made.
    pub fn assignment_epoch(&self) -> Epoch {
        self.assignment_epoch
    }

    /// Members by their ids.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(id, member)| (id.as_str(), &**member))
    }

    /// What a member is to have.
    pub fn target(&self, member_id: &str) -> Partitions {
        self.targets
            .get(member_id)
            .map(|target| Partitions::clone(target))
            .unwrap_or_default()
    }

    /// Where the group stands.
    pub fn state(&self) -> GroupState {
        let is_there = |member: &Arc<Member>| member.is_reconciled_to(self.assignment_epoch);
        match () {
            () if self.members.is_empty() => GroupState::Empty,
            () if self.epoch > self.assignment_epoch => GroupState::Assigning,
            () if self.members.values().all(is_there) => GroupState::Stable,
            () => GroupState::Reconciling,
        }
    }

    /// The assignor that most members would like; without wishes the default.
    pub fn assignor(&self) -> Assignor {
        let wishes = || self.members.values().filter_map(|member| member.assignor);
        let votes = |assignor: &Assignor| wishes().filter(|wish| wish == assignor).count();
        // Of equals the first wins.
        let liked = Assignor::ALL.into_iter().rev().max_by_key(votes);
        liked.unwrap_or_default()
    }

    /// Whether any member subscribes to this topic.
    pub fn subscribes_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| {
            let regex = member.subscription.regex.as_deref();
            let matched = regex.and_then(|regex| self.patterns.matched(regex));
            member.subscription.names.contains(topic) || matched.is_some_and(|matched| matched.contains(topic))
        })
    }

    /// A member.
    pub(super) fn member(&self, member_id: &str) -> Result<&Arc<Member>, Refusal> {
        let member = self.members.get(member_id);
        member.ok_or_else(|| Refusal::UnknownMember(member_id.to_owned()))
    }

    /// The member that has this instance id, and its member id.
    pub(super) fn static_member(&self, instance_id: &str) -> Option<(&str, &Arc<Member>)> {
        let mut members = self.members.iter();
        let (id, member) = members.find(|(_, member)| member.instance_id.as_deref() == Some(instance_id))?;
        Some((id, member))
    }

    /// The member that a request comes from: its id has to be that of a member, and its instance id, if it has one, its own.
    pub(super) fn sender(&self, member_id: &str, instance_id: Option<&str>) -> Result<&Arc<Member>, Refusal> {
        let Some(instance_id) = instance_id else {
            return self.member(member_id);
        };
        match self.static_member(instance_id) {
            Some((id, member)) if id == member_id => Ok(member),
            Some(_) => Err(Refusal::FencedInstance(instance_id.to_owned())),
            None => Err(Refusal::UnknownMember(member_id.to_owned())),
        }
    }

    /// Puts a member in place of what was known under its id.
    pub(super) fn put(&mut self, member_id: &str, member: Member) {
        self.members.insert(member_id.to_owned(), Arc::new(member));
    }

    /// Whether a member other than this one holds a partition.
    pub(super) fn is_taken_from(&self, member_id: &str, key: &Key) -> bool {
        let mut others = self.members.iter().filter(|(id, _)| *id != member_id);
        others.any(|(_, member)| member.holds(key))
    }

    /// The topics that exist among those a member subscribes to.
    pub(super) fn topics_of(&self, member: &Member, topics: &dyn Topics) -> BTreeSet<TopicShape> {
        topics::subscribed(&member.subscription, &self.patterns, topics)
    }

    /// Likewise, their ids.
    pub(super) fn topic_ids_of(&self, member: &Member, topics: &dyn Topics) -> BTreeSet<TopicId> {
        let shapes = self.topics_of(member, topics);
        shapes.into_iter().map(|shape| shape.id).collect()
    }
}
