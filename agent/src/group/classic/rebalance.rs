//! From one generation to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::member::Member;
use super::{ClassicGroup, Initial, Phase};
use crate::group::ask::{GroupError, Outbox, Told};
use crate::group::kind::Moment;

impl ClassicGroup {
    /// Somebody joined, or joined again: begins a rebalance, or ends the one under way if that was the last to be waited for.
    pub(super) fn rebalance(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        match self.phase {
            Phase::Empty => self.prepare_first(moment),
            Phase::Completing | Phase::Stable => self.prepare(moment, out),
            Phase::Preparing { .. } => self.complete_if_all_joined(moment, out),
        }
    }

    /// Members were removed.
    pub(super) fn after_removal(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        match self.phase {
            Phase::Empty => {}
            Phase::Completing | Phase::Stable => self.prepare(moment, out),
            Phase::Preparing { .. } => self.complete_if_all_joined(moment, out),
        }
    }

    /// The first members of a group wait for company, so that a deployment that starts costs one rebalance and not many.
    fn prepare_first(&mut self, moment: Moment<'_>) {
        let delay = moment.limits.initial_rebalance_delay;
        self.phase = Phase::Preparing {
            deadline: moment.now + delay,
            initial: Some(Initial {
                remaining: self.rebalance_timeout().saturating_sub(delay),
                joined: false,
            }),
        };
        self.changed = true;
    }

    pub(super) fn prepare(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        for member in self.members.values_mut() {
            if let Some(ticket) = member.take_sync() {
                member.heard(moment.now);
                out.tell(ticket, Err(GroupError::Rebalancing));
            }
        }
        self.unsynced.clear();
        self.sync_deadline = None;
        self.phase = Phase::Preparing {
            deadline: moment.now + self.rebalance_timeout(),
            initial: None,
        };
        self.changed = true;
        self.complete_if_all_joined(moment, out);
    }

    pub(super) fn tick_rebalance(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        if self.sync_deadline.is_some_and(|deadline| deadline <= moment.now) {
            self.expel_unsynced(moment, out);
        }
        self.complete_if_all_joined(moment, out);
        let Phase::Preparing { deadline, initial } = &mut self.phase else {
            return;
        };
        if *deadline > moment.now {
            return;
        }
        if let Some(initial) = initial.as_mut().filter(|initial| initial.may_wait_on()) {
            *deadline = moment.now + initial.wait_on(moment.limits.initial_rebalance_delay);
            return;
        }
        self.complete(moment, out);
    }

    fn complete_if_all_joined(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        if !matches!(self.phase, Phase::Preparing { initial: None, .. }) {
            return self.empty_if_deserted();
        }
        let all = self.members.values().all(Member::is_joining) && self.promised.is_empty();
        if all {
            self.complete(moment, out);
        }
    }

    /// A first rebalance whose members have all gone again ends at once.
    fn empty_if_deserted(&mut self) {
        if matches!(self.phase, Phase::Preparing { .. }) && self.members.is_empty() {
            self.become_empty();
        }
    }

    /// The next generation begins with those who have joined, and with static members, which are given their session's time.
    fn complete(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let gone = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_joining() && member.instance_id.is_none());
        for id in gone.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove(&id, &GroupError::UnknownMember, out);
        }
        if self.members.is_empty() {
            return self.become_empty();
        }
        if !self.elect_leader() {
            // Static members alone, none of which is back: their sessions decide.
            self.phase = Phase::Preparing {
                deadline: moment.now + self.rebalance_timeout().max(Duration::from_secs(1)),
                initial: None,
            };
            return;
        }
        self.generation += 1;
        self.protocol_name = self.elect_protocol();
        self.phase = Phase::Completing;
        self.unsynced = self.members.keys().cloned().collect();
        self.sync_deadline = Some(moment.now + self.rebalance_timeout());
        self.changed = true;
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.announce(&id, moment, out);
        }
    }

    fn announce(&mut self, id: &str, moment: Moment<'_>, out: &mut Outbox) {
        let ticket = self.members.get_mut(id).and_then(Member::take_join);
        if let Some(ticket) = ticket {
            self.note_told(id, moment);
            let joined = self.joined(id);
            out.tell(ticket, Ok(Told::Joined(joined)));
        } else {
            self.heard(id, moment.now);
        }
    }

    fn become_empty(&mut self) {
        self.generation += 1;
        self.protocol_name.clear();
        self.leader = None;
        self.phase = Phase::Empty;
        self.sync_deadline = None;
        self.changed = true;
    }

    /// Whether there is a leader that has joined.
    fn elect_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_some_and(Member::is_joining) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.is_joining());
        let Some((id, _)) = joined else { return false };
        self.leader = Some(id.clone());
        true
    }

    /// The protocol that all speak and most like best; of several, the first by name.
    pub(super) fn elect_protocol(&self) -> String {
        let by_all = |name: &str| self.members.values().all(|member| member.speaks(name));
        let mut votes = BTreeMap::<&str, usize>::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|protocol| by_all(&protocol.name));
            if let Some(protocol) = vote {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.values().max().copied();
        let elected = votes.into_iter().find(|(_, count)| Some(*count) == most);
        elected.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    /// Those who joined and then did not ask for their assignment hold partitions that nobody reads.
    fn expel_unsynced(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        self.sync_deadline = None;
        let unsynced = std::mem::take(&mut self.unsynced);
        if unsynced.is_empty() {
            return;
        }
        for id in &unsynced {
            self.remove(id, &GroupError::UnknownMember, out);
        }
        self.after_removal(moment, out);
    }
}

impl Initial {
    fn may_wait_on(&self) -> bool {
        self.joined && !self.remaining.is_zero()
    }

    fn wait_on(&mut self, delay: Duration) -> Duration {
        let wait = delay.min(self.remaining);
        self.remaining = self.remaining.saturating_sub(delay);
        self.joined = false;
        wait
    }
}
