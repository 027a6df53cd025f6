//! `range`: every topic is divided among its subscribers, and topics of the same subscribers and partition count are divided alike, so
//! that partition n of one and partition n of the other are with the same member and can be joined.

use std::collections::BTreeMap;

use types::PartitionIndex;

use super::{Subscriber, by_topic, owners_before, partitions_of};
use crate::group::consumer::partitions::Key;
use crate::group::consumer::topics::TopicShape;

/// Who is to have each partition.
pub(super) fn assign(subscribers: &[Subscriber<'_>]) -> BTreeMap<Key, usize> {
    let before = owners_before(subscribers);
    let mut alike: BTreeMap<(i32, Vec<usize>), Vec<TopicShape>> = BTreeMap::new();
    for (topic, members) in by_topic(subscribers) {
        alike.entry((topic.partition_count, members)).or_default().push(topic);
    }
    let mut owners = BTreeMap::new();
    for ((count, mut members), topics) in alike {
        // A static member that comes back under a new id keeps its place in the order.
        members.sort_by_key(|place| (subscribers[*place].instance_id.is_none(), order(&subscribers[*place])));
        let model = topics
            .iter()
            .find(|topic| partitions_of(topic).any(|key| before.contains_key(&key)));
        let model = model.unwrap_or(&topics[0]);
        let stayed = |index| before.get(&(model.id, PartitionIndex(index))).copied();
        let divided = divide(count, &members, stayed);
        for topic in &topics {
            owners.extend(partitions_of(topic).zip(divided.iter().copied()));
        }
    }
    owners
}

fn order<'a>(subscriber: &'a Subscriber<'_>) -> (&'a str, &'a str) {
    (subscriber.instance_id.unwrap_or_default(), subscriber.id)
}

/// The owner of each partition from 0 to `count`. Everybody gets the same number, some one more; what stays, stays.
fn divide(count: i32, members: &[usize], stayed: impl Fn(i32) -> Option<usize>) -> Vec<usize> {
    let count = usize::try_from(count).unwrap_or_default();
    let (quota, mut extras) = (count / members.len(), count % members.len());
    let mut owners: Vec<Option<usize>> = vec![None; count];
    let mut sizes: BTreeMap<usize, usize> = members.iter().map(|member| (*member, 0)).collect();
    for (index, owner) in owners.iter_mut().enumerate() {
        let Some(member) = i32::try_from(index).ok().and_then(&stayed) else {
            continue;
        };
        let Some(size) = sizes.get_mut(&member) else {
            continue;
        };
        if *size > quota || (*size == quota && extras == 0) {
            continue;
        }
        extras -= usize::from(*size == quota);
        *size += 1;
        *owner = Some(member);
    }
    fill(owners, members, &sizes, quota, extras)
}

/// Gives what is left to those that have too little, member by member in ranges.
fn fill(
    owners: Vec<Option<usize>>,
    members: &[usize],
    sizes: &BTreeMap<usize, usize>,
    quota: usize,
    mut extras: usize,
) -> Vec<usize> {
    let mut missing = members.iter().flat_map(|member| {
        let size = sizes[member];
        let extra = usize::from(size <= quota && extras > 0);
        extras -= extra;
        let wanted = (quota + extra).saturating_sub(size);
        std::iter::repeat_n(*member, wanted)
    });
    let mut fill = |owner: Option<usize>| owner.or_else(|| missing.next());
    owners
        .into_iter()
        .map(|owner| fill(owner).expect("quotas and extras add up to all partitions"))
        .collect()
}
