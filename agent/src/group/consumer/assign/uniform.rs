//! `uniform`: the number of partitions that two members have differs as little as their subscriptions allow, and no more partitions
//! move than that takes.

use std::collections::BTreeMap;

use super::{Subscriber, by_topic, owners_before, partitions_of};
use crate::group::consumer::partitions::Key;
use types::TopicId;

/// Who is to have each partition.
pub(super) fn assign(subscribers: &[Subscriber<'_>]) -> BTreeMap<Key, usize> {
    let mut balance = Balance::new(subscribers);
    balance.give_out(subscribers);
    while balance.level_one_out() {}
    balance.owners
}

struct Balance {
    owners: BTreeMap<Key, usize>,
    /// Topics with the same subscribers are of one class.
    class_of: BTreeMap<TopicId, usize>,
    classes: Vec<Vec<usize>>,
    /// What each member has, by class.
    held: Vec<BTreeMap<usize, Vec<Key>>>,
    loads: Vec<usize>,
}

impl Balance {
    /// Everybody has what it had.
    fn new(subscribers: &[Subscriber<'_>]) -> Self {
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut class_of = BTreeMap::new();
        for (topic, members) in by_topic(subscribers) {
            let new = known.len();
            class_of.insert(topic.id, *known.entry(members).or_insert(new));
        }
        let mut classes = vec![vec![]; known.len()];
        known.into_iter().for_each(|(members, class)| classes[class] = members);
        let mut balance = Self {
            owners: BTreeMap::new(),
            class_of,
            classes,
            held: vec![BTreeMap::new(); subscribers.len()],
            loads: vec![0; subscribers.len()],
        };
        let before = owners_before(subscribers);
        before.into_iter().for_each(|(key, owner)| balance.give(key, owner));
        balance
    }

    fn give(&mut self, key: Key, owner: usize) {
        self.owners.insert(key, owner);
        self.held[owner].entry(self.class_of[&key.0]).or_default().push(key);
        self.loads[owner] += 1;
    }

    /// Gives what nobody has to whoever has least; topics that few may read first, for they leave the least choice.
    fn give_out(&mut self, subscribers: &[Subscriber<'_>]) {
        let mut topics: Vec<_> = by_topic(subscribers).into_iter().collect();
        topics.sort_by_key(|(topic, members)| (members.len(), *topic));
        for (topic, _) in topics {
            for key in partitions_of(&topic) {
                if !self.owners.contains_key(&key) {
                    let least = self.least_loaded(self.class_of[&key.0]);
                    self.give(key, least);
                }
            }
        }
    }

    /// Moves one partition from a member to one that has at least two less. Each move lowers the sum of the squares of all
    /// loads, so there is a last one.
    fn level_one_out(&mut self) -> bool {
        let mut heaviest: Vec<usize> = (0..self.loads.len()).collect();
        heaviest.sort_by_key(|member| std::cmp::Reverse(self.loads[*member]));
        let Some((from, class, to)) = heaviest.into_iter().find_map(|from| self.relief_of(from)) else {
            return false;
        };
        let key = self.held[from]
            .get_mut(&class)
            .and_then(Vec::pop)
            .expect("a class without partitions is no relief");
        self.loads[from] -= 1;
        self.give(key, to);
        true
    }

    fn relief_of(&self, from: usize) -> Option<(usize, usize, usize)> {
        let classes = self.held[from].iter().filter(|(_, keys)| !keys.is_empty());
        let (to, class) = classes
            .map(|(class, _)| (self.least_loaded(*class), *class))
            .min_by_key(|(to, _)| self.loads[*to])?;
        (self.loads[from] >= self.loads[to] + 2).then_some((from, class, to))
    }

    fn least_loaded(&self, class: usize) -> usize {
        let members = self.classes[class].iter().copied();
        members
            .min_by_key(|member| self.loads[*member])
            .expect("a class has subscribers")
    }
}
