//! Brings one member a step closer to its target (KIP-848, "Member Reconciliation"). Pure.
//!
//! First the member gives up what it is to lose, in its old epoch. When it has, it moves to the target's epoch and gets
//! what it is to have, as far as the former owners have given that up.

use std::collections::BTreeSet;

use types::TopicId;

use super::Epoch;
use super::member::{Member, MemberState};
use super::partitions::{Held, Key, Partitions};
use super::report::Report;

/// Where a member is to get, and what is known about the way.
pub(super) struct Aim<'a> {
    /// The epoch of the target.
    pub epoch: Epoch,
    /// What it is to have.
    pub target: &'a Partitions,
    /// The topics that it subscribes to, of those that exist.
    pub subscribed: &'a BTreeSet<TopicId>,
    /// It has just changed its subscription: what it does not want any more is taken at once.
    pub subscription_changed: bool,
    /// What it says that it uses.
    pub report: Report<'a>,
    /// Whether a partition is with another member.
    pub taken: &'a dyn Fn(&Key) -> bool,
}

/// The member after its next step; `None`: there is none to take now.
pub(super) fn reconcile(member: &Member, aim: &Aim<'_>) -> Option<Member> {
    let step = match member.state {
        MemberState::Stable if member.epoch != aim.epoch => next(member, aim),
        MemberState::Revoking if !aim.may_use(&member.revoking) => next(member, aim),
        MemberState::Waiting => next(member, aim),
        MemberState::Stable | MemberState::Revoking if aim.subscription_changed => shrink(member, aim)?,
        MemberState::Stable | MemberState::Revoking => return None,
    };
    (step != *member).then_some(step)
}

impl Aim<'_> {
    fn wants(&self, key: &Key) -> bool {
        self.subscribed.contains(&key.0)
    }

    fn may_use(&self, revoking: &Held) -> bool {
        revoking.iter().any(|(key, _)| self.report.may_use(&key))
    }

    fn may_take(&self, revoking: &Held) -> bool {
        revoking.iter().any(|(key, _)| self.report.may_take(&key))
    }
}

fn next(member: &Member, aim: &Aim<'_>) -> Member {
    let is_target = |key: &Key| aim.target.contains(key) && aim.wants(key);
    let (mut assigned, revoking) = member.assigned.split(is_target);
    if aim.may_take(&revoking) {
        return Member {
            state: MemberState::Revoking,
            assigned,
            revoking,
            ..member.moved_to(member.epoch)
        };
    }
    let missing = aim
        .target
        .iter()
        .filter(|key| aim.wants(key) && !assigned.contains(key));
    let (taken, free): (Vec<Key>, Vec<Key>) = missing.partition(|key| (aim.taken)(key));
    free.into_iter().for_each(|key| assigned.insert(key, aim.epoch));
    Member {
        state: if taken.is_empty() {
            MemberState::Stable
        } else {
            MemberState::Waiting
        },
        assigned,
        revoking: Held::default(),
        ..member.moved_to(aim.epoch)
    }
}

/// Takes away what the member does not subscribe to any more, without waiting for its other steps.
fn shrink(member: &Member, aim: &Aim<'_>) -> Option<Member> {
    let (assigned, unwanted) = member.assigned.split(|key| aim.wants(key));
    if unwanted.is_empty() {
        return None;
    }
    let revoking = member.revoking.with(&unwanted);
    let step = member.moved_to(member.epoch);
    Some(if aim.may_use(&member.revoking) || aim.may_take(&unwanted) {
        Member {
            state: MemberState::Revoking,
            assigned,
            revoking,
            ..step
        }
    } else {
        Member { assigned, ..step }
    })
}

#[cfg(test)]
mod tests {
    use types::PartitionIndex;
    use uuid::Uuid;

    use super::*;

    const TOPIC: TopicId = TopicId(Uuid::from_u128(1));

    fn partitions(indexes: &[i32]) -> Partitions {
        indexes.iter().map(|index| (TOPIC, PartitionIndex(*index))).collect()
    }

    fn member(epoch: i32, assigned: &[i32]) -> Member {
        Member {
            epoch: Epoch(epoch),
            assigned: Held::since(Epoch(epoch), &partitions(assigned)),
            ..Member::default()
        }
    }

    fn report(now: Option<&Partitions>) -> Report<'_> {
        Report {
            now,
            before: None,
            is_full: false,
            starts_over: false,
        }
    }

    /// A step towards `target` in epoch 2; `taken` are with others.
    fn step(member: &Member, target: &[i32], owned: Option<&[i32]>, taken: &[i32]) -> Option<Member> {
        let (owned, taken) = (owned.map(partitions), partitions(taken));
        let aim = Aim {
            epoch: Epoch(2),
            target: &partitions(target),
            subscribed: &BTreeSet::from([TOPIC]),
            subscription_changed: false,
            report: report(owned.as_ref()),
            taken: &|key| taken.contains(key),
        };
        reconcile(member, &aim)
    }

    #[test]
    fn partitions_are_given_up_before_new_ones_come() {
        let revoking = step(&member(1, &[0, 1]), &[1, 2], Some(&[0, 1]), &[]).unwrap();
        assert_eq!((revoking.state, revoking.epoch), (MemberState::Revoking, Epoch(1)));
        assert_eq!(revoking.assigned.partitions(), partitions(&[1]));
        assert_eq!(step(&revoking, &[1, 2], None, &[]), None, "silence gives nothing up");
        assert_eq!(step(&revoking, &[1, 2], Some(&[0, 1]), &[]), None);
        let done = step(&revoking, &[1, 2], Some(&[1]), &[]).unwrap();
        assert_eq!((done.state, done.epoch), (MemberState::Stable, Epoch(2)));
        assert_eq!(done.assigned.partitions(), partitions(&[1, 2]));
        assert_eq!(done.assigned.epoch_of(&(TOPIC, PartitionIndex(1))), Some(Epoch(1)));
        assert!(done.revoking.is_empty());
    }

    #[test]
    fn what_others_hold_is_waited_for() {
        let waiting = step(&member(1, &[0]), &[0, 1, 2], None, &[1]).unwrap();
        assert_eq!((waiting.state, waiting.epoch), (MemberState::Waiting, Epoch(2)));
        assert_eq!(waiting.assigned.partitions(), partitions(&[0, 2]));
        let done = step(&waiting, &[0, 1, 2], None, &[]).unwrap();
        assert_eq!(done.state, MemberState::Stable);
        assert_eq!(done.assigned.partitions(), partitions(&[0, 1, 2]));
    }

    #[test]
    fn what_the_member_has_not_heard_that_it_lost_is_not_free() {
        let revoking = step(&member(1, &[0, 1]), &[1], Some(&[1]), &[]).unwrap();
        assert_eq!((revoking.state, revoking.epoch), (MemberState::Revoking, Epoch(1)));
    }

    #[test]
    fn a_topic_that_is_unsubscribed_is_taken_at_once() {
        let aim = Aim {
            epoch: Epoch(1),
            target: &partitions(&[0]),
            subscribed: &BTreeSet::new(),
            subscription_changed: true,
            report: report(None),
            taken: &|_| false,
        };
        let shrunk = reconcile(&member(1, &[0]), &aim).unwrap();
        assert_eq!(shrunk.state, MemberState::Revoking);
        assert!(shrunk.assigned.is_empty());
    }
}
