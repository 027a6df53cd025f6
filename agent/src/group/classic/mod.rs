//! The classic protocol's group: members join, one of them divides the partitions, all of them sync (KIP-62, 345, 394, 814).
//! Pure: requests and the time come in, answers go out.
//!
//! What always holds: generations only grow; a generation's assignment is written once, by its leader; every request is answered,
//! if only when its member is removed or the group is abandoned. Which states, waits and errors there are is Kafka's
//! (`GroupMetadataManager`, `ClassicGroup`).

mod describe;
mod join;
mod leave;
mod member;
mod migrate;
mod rebalance;
mod saved;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use self::member::Member;
use super::ask::{Ask, GroupError, Identity, MemberAsk, Outbox, Ticket, Told};
use super::kind::Moment;

/// Protocol type of consumers; others (Connect) bring their own subscriptions that we cannot read.
const CONSUMER: &str = "consumer";

/// A group of the classic protocol.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    phase: Phase,
    generation: i32,
    /// Empty: nobody has ever joined.
    protocol_type: String,
    /// Empty: none chosen.
    protocol_name: String,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Ids given to new members that have not come back with them, and until when they are waited for.
    promised: BTreeMap<String, Instant>,
    /// Members of this generation that have not asked for their assignment.
    unsynced: BTreeSet<String>,
    /// Until when they may.
    sync_deadline: Option<Instant>,
    changed: bool,
}

/// Where a group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody there.
    Empty,
    /// Members are to join.
    Preparing {
        /// When to go on without those who have not.
        deadline: Instant,
        /// The group was empty: it waits for company, whoever has joined.
        initial: Option<Initial>,
    },
    /// The leader is to divide the partitions.
    Completing,
    /// Everybody has an assignment.
    Stable,
}

/// The first rebalance of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Initial {
    /// By how much the wait may still be prolonged.
    remaining: Duration,
    /// Somebody has come since the last look.
    joined: bool,
}

impl ClassicGroup {
    /// Decides what a request leads to.
    pub fn handle(&mut self, ask: Ask, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        match ask {
            Ask::Join(join) => self.join(join, ticket, moment, out),
            Ask::Sync(sync) => self.sync(sync, ticket, moment, out),
            Ask::Heartbeat(heartbeat) => {
                let told = self.heartbeat(&heartbeat, moment.now).map(|()| Told::Alive);
                out.tell(ticket, told);
            }
            Ask::Leave(members) => {
                let left = self.leave(&members, moment, out);
                out.tell(ticket, Ok(Told::Left(left)));
            }
            Ask::Commit(commit) => out.tell(ticket, self.commit(&commit, moment.now)),
            Ask::Fetch(_) => out.tell(ticket, Ok(Told::MayFetch)),
            Ask::ConsumerHeartbeat(_) | Ask::ConsumerDescribe => out.tell(ticket, Err(GroupError::NotFound)),
            Ask::Describe => out.tell(ticket, Ok(Told::Described(self.describe()))),
            Ask::Forget => out.tell(ticket, self.forget()),
            Ask::Delete => {
                let empty = self.phase == Phase::Empty;
                out.tell(
                    ticket,
                    if empty {
                        Ok(Told::MayDelete)
                    } else {
                        Err(GroupError::NotEmpty)
                    },
                );
            }
        }
    }

    /// Removes whoever was silent for too long, and ends waits whose time is over.
    pub fn tick(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        self.promised.retain(|_, until| *until > moment.now);
        let silent = self.members.iter().filter(|(_, member)| member.is_silent(moment.now));
        let silent: Vec<String> = silent.map(|(id, _)| id.clone()).collect();
        for id in &silent {
            self.remove(id, &GroupError::UnknownMember, out);
        }
        if !silent.is_empty() {
            self.after_removal(moment, out);
        }
        self.tick_rebalance(moment, out);
    }

    /// When `tick` has something to decide next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let preparing = match &self.phase {
            Phase::Preparing { deadline, .. } => Some(*deadline),
            Phase::Empty | Phase::Completing | Phase::Stable => None,
        };
        let members = self.members.values().filter_map(Member::deadline);
        let promised = self.promised.values().copied();
        members.chain(promised).chain(preparing).chain(self.sync_deadline).min()
    }

    /// Whether it has changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether nobody belongs to it or tries to.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Empty && self.promised.is_empty()
    }

    fn heartbeat(&mut self, heartbeat: &MemberAsk, now: Instant) -> Result<(), GroupError> {
        let id = self.identify(&heartbeat.member)?;
        self.check_generation(heartbeat.generation)?;
        self.heard(&id, now);
        match self.phase {
            Phase::Preparing { .. } => Err(GroupError::Rebalancing),
            // A member may hear of its generation, and show that it lives, before the leader has divided anything.
            Phase::Completing | Phase::Stable => Ok(()),
            Phase::Empty => Err(GroupError::UnknownMember),
        }
    }

    fn commit(&mut self, commit: &MemberAsk, now: Instant) -> Result<Told, GroupError> {
        let anonymous = commit.member.member_id.is_empty() && commit.member.instance_id.is_none();
        if commit.generation < 0 && self.phase == Phase::Empty {
            // An admin, or a consumer that assigns partitions to itself. A first member may come while the offsets are
            // written; it starts from them or not, as if they had come a moment sooner or later.
            return Ok(Told::MayCommit {
                generation: Some(self.generation),
            });
        }
        if commit.generation < 0 && anonymous {
            return Err(GroupError::UnknownMember);
        }
        let id = self.identify(&commit.member)?;
        self.check_generation(commit.generation)?;
        if self.phase == Phase::Completing {
            return Err(GroupError::Rebalancing);
        }
        self.heard(&id, now);
        Ok(Told::MayCommit {
            generation: Some(self.generation),
        })
    }

    /// The member that somebody says it is.
    fn identify(&self, who: &Identity) -> Result<String, GroupError> {
        if let Some(instance) = &who.instance_id {
            let holder = self.static_member(instance).ok_or(GroupError::UnknownMember)?;
            if holder != who.member_id {
                return Err(GroupError::FencedInstance);
            }
        }
        if self.members.contains_key(&who.member_id) {
            Ok(who.member_id.clone())
        } else {
            Err(GroupError::UnknownMember)
        }
    }

    fn static_member(&self, instance: &str) -> Option<&str> {
        let mut members = self.members.iter();
        let found = members.find(|(_, member)| member.instance_id.as_deref() == Some(instance));
        found.map(|(id, _)| id.as_str())
    }

    fn check_generation(&self, generation: i32) -> Result<(), GroupError> {
        if generation == self.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration)
        }
    }

    fn heard(&mut self, id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard(now);
        }
    }

    /// Takes a member out, answering what it has parked.
    fn remove(&mut self, id: &str, error: &GroupError, out: &mut Outbox) {
        if let Some(mut member) = self.members.remove(id) {
            member.answer_parked(error, out);
        }
        self.unsynced.remove(id);
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.changed = true;
    }

    /// Longest that any member may take to rejoin.
    fn rebalance_timeout(&self) -> Duration {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }
}
