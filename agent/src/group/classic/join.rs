//! JoinGroup.

use super::member::Member;
use super::{ClassicGroup, Phase};
use crate::group::ask::{GroupError, Identity, JoinAsk, Joined, JoinedMember, Outbox, Protocol, Ticket, Told};
use crate::group::kind::Moment;
use crate::group::limits::{GroupLimits, PROMISED_MAX};

impl ClassicGroup {
    pub(super) fn join(&mut self, join: JoinAsk, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        if let Err(error) = self.admit(&join, moment.limits) {
            if error == GroupError::Full && self.members.contains_key(&join.member.member_id) {
                self.remove(&join.member.member_id, &error, out);
                self.after_removal(moment, out);
            }
            return out.tell(ticket, Err(error));
        }
        if join.member.member_id.is_empty() {
            self.join_new(join, ticket, moment, out);
        } else {
            self.join_again(join, ticket, moment, out);
        }
    }

    fn admit(&self, join: &JoinAsk, limits: &GroupLimits) -> Result<(), GroupError> {
        if !limits.permits_session(join.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if !self.has_room(&join.member.member_id, limits.members_max) {
            return Err(GroupError::Full);
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    fn has_room(&self, member_id: &str, members_max: usize) -> bool {
        let known = self.members.get(member_id);
        match self.phase {
            Phase::Empty => true,
            // Those who have not rejoined may never do.
            Phase::Preparing { .. } => {
                let joining = self.members.values().filter(|member| member.is_joining()).count();
                known.is_some_and(Member::is_joining) || joining < members_max
            }
            Phase::Completing | Phase::Stable => known.is_some() || self.members.len() < members_max,
        }
    }

    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let by_all = |name: &str| self.members.values().all(|member| member.speaks(name));
        protocol_type == self.protocol_type && protocols.iter().any(|protocol| by_all(&protocol.name))
    }

    fn join_new(&mut self, join: JoinAsk, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        let id = new_member_id(&join, moment);
        let Some(instance) = &join.member.instance_id else {
            if join.requires_known_id {
                if self.promised.len() >= PROMISED_MAX {
                    return out.tell(ticket, Err(GroupError::Full));
                }
                // Clients that never come back (a join lost half-way and tried again) leave no member behind.
                self.promised.insert(id.clone(), moment.now + join.session_timeout);
                return out.tell(ticket, Err(GroupError::MemberIdRequired(id)));
            }
            return self.add(id, join, false, ticket, moment, out);
        };
        match self.static_member(instance).map(str::to_owned) {
            Some(old) => self.replace_static(&old, id, join, ticket, moment, out),
            None => self.add(id, join, false, ticket, moment, out),
        }
    }

    fn join_again(&mut self, join: JoinAsk, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        let id = join.member.member_id.clone();
        if self.promised.contains_key(&id) {
            if join.member.instance_id.is_some() {
                return out.tell(ticket, Err(GroupError::Contradiction));
            }
            self.promised.remove(&id);
            return self.add(id, join, true, ticket, moment, out);
        }
        if let Err(error) = self.identify(&join.member) {
            return out.tell(ticket, Err(error));
        }
        if self.rebalances_for(&id, &join.protocols) {
            return self.update(&id, join, ticket, moment, out);
        }
        // It did not hear the answer to its first join, or nothing changes for it.
        self.heard(&id, moment.now);
        out.tell(ticket, Ok(Told::Joined(self.joined(&id))));
    }

    fn rebalances_for(&self, id: &str, protocols: &[Protocol]) -> bool {
        let same = self.members.get(id).is_some_and(|member| member.protocols == protocols);
        match self.phase {
            Phase::Empty | Phase::Preparing { .. } => true,
            Phase::Completing => !same,
            // A leader that joins again has seen something that calls for another division.
            Phase::Stable => !same || self.leader.as_deref() == Some(id),
        }
    }

    fn add(&mut self, id: String, join: JoinAsk, knows_id: bool, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        if let Phase::Preparing {
            initial: Some(initial), ..
        } = &mut self.phase
        {
            initial.joined = true;
        }
        let mut member = Member::new(join, knows_id, moment.now);
        member.park_join(ticket, out);
        self.members.insert(id.clone(), member);
        self.leader.get_or_insert(id);
        self.changed = true;
        self.rebalance(moment, out);
    }

    fn update(&mut self, id: &str, join: JoinAsk, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        if let Some(member) = self.members.get_mut(id) {
            self.changed |= member.protocols != join.protocols;
            member.update(join);
            member.heard(moment.now);
            member.park_join(ticket, out);
        }
        self.rebalance(moment, out);
    }

    /// A process that restarted under its lasting name: it takes its predecessor's place, which is fenced off (KIP-345).
    fn replace_static(
        &mut self,
        old: &str,
        id: String,
        join: JoinAsk,
        ticket: Ticket,
        moment: Moment<'_>,
        out: &mut Outbox,
    ) {
        let Some(mut member) = self.members.remove(old) else {
            return;
        };
        member.answer_parked(&GroupError::FencedInstance, out);
        let can_skip_assignment = join.can_skip_assignment;
        member.update(join);
        member.knows_id = false;
        self.members.insert(id.clone(), member);
        if self.unsynced.remove(old) {
            self.unsynced.insert(id.clone());
        }
        let led = self.leader.as_deref() == Some(old);
        if led {
            self.leader = Some(id.clone());
        }
        self.changed = true;
        if self.phase == Phase::Stable && self.elect_protocol() == self.protocol_name {
            // Nothing changes for anybody else.
            self.note_told(&id, moment);
            let mut joined = self.joined(&id);
            if led && can_skip_assignment {
                joined.skip_assignment = true;
            } else if led {
                // It is not to divide anything, so it must not take itself for the leader.
                old.clone_into(&mut joined.leader);
                joined.members.clear();
            }
            return out.tell(ticket, Ok(Told::Joined(joined)));
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.is_new = false;
            member.heard(moment.now);
            member.park_join(ticket, out);
        }
        self.rebalance(moment, out);
    }

    /// A member hears its id and its generation with this turn's answers.
    pub(super) fn note_told(&mut self, id: &str, moment: Moment<'_>) {
        if let Some(member) = self.members.get_mut(id) {
            member.knows_id = true;
            member.is_new = false;
            member.heard(moment.now);
        }
    }

    /// What a member is told of its generation.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let leads = self.leader.as_deref() == Some(id);
        let of_generation = self.members.iter().filter(|_| leads);
        let members = of_generation.map(|(id, member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol_name),
        });
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: members.collect(),
        }
    }
}

fn new_member_id(join: &JoinAsk, moment: Moment<'_>) -> String {
    let Identity { instance_id, .. } = &join.member;
    let name = instance_id.as_deref().unwrap_or(&join.client_id);
    format!("{name}-{}", moment.entropy.uuid_v4())
}
