//! When targets are made anew: the group's epoch grew. When that grows: members change, or their topics do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assign::Subscriber;
use super::pattern::Patterns;
use super::state::ConsumerGroup;
use super::topics::{TopicShape, Topics, fingerprint};

impl ConsumerGroup {
    /// Begins a new epoch when it has to (`due`) or when the topics that members subscribe to changed.
    pub(super) fn look_at_topics(&mut self, due: bool, topics: &dyn Topics) {
        let all = self.subscribed_topics(topics);
        let seen = fingerprint(&all);
        if due || seen != self.topics_seen {
            self.epoch = self.epoch.next();
            self.topics_seen = seen;
        }
    }

    /// Matches the regular expressions of all members anew and forgets those that nobody uses. Returns whether that changed
    /// anything.
    pub(super) fn resolve_patterns(&mut self, topics: &dyn Topics) -> bool {
        let wanted: BTreeSet<&str> = self.regexes().collect();
        let resolved = Patterns::resolve(&wanted, topics);
        let changed = resolved != self.patterns;
        self.patterns = resolved;
        changed
    }

    /// The regular expressions that members use.
    pub(super) fn regexes(&self) -> impl Iterator<Item = &str> {
        let members = self.members.values();
        members.filter_map(|member| member.subscription.regex.as_deref())
    }

    /// Makes targets for the group's epoch, unless they are made.
    pub(super) fn make_targets(&mut self, topics: &dyn Topics) {
        if self.epoch == self.assignment_epoch {
            return;
        }
        let nothing = Arc::default();
        let subscribers: Vec<Subscriber<'_>> = self
            .members
            .iter()
            .map(|(id, member)| Subscriber {
                id,
                instance_id: member.instance_id.as_deref(),
                topics: self.topics_of(member, topics),
                before: self.targets.get(id).unwrap_or(&nothing),
            })
            .collect();
        let targets = self.assignor().assign(&subscribers);
        self.targets = targets.into_iter().map(|(id, target)| (id, Arc::new(target))).collect();
        self.assignment_epoch = self.epoch;
    }

    fn subscribed_topics(&self, topics: &dyn Topics) -> BTreeSet<TopicShape> {
        let members = self.members.values();
        members.flat_map(|member| self.topics_of(member, topics)).collect()
    }
}
