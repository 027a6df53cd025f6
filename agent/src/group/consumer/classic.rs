//! Members that still speak the classic protocol, in a group of the new one (KIP-848, "Online Migration"). They join, sync and report as they always did; the
//! coordinator assigns for them, and asks them to rejoin when they have a step to take.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::embedded::{self, ClassicSubscription, PROTOCOL_TYPE};
use super::live::{Live, millis};
use super::member::{Member, MemberState, Subscription};
use super::report::Report;
use super::state::ConsumerGroup;
use super::subscribe::Sender;
use super::{Epoch, Moment, Refusal};

/// What a classic member said in JoinGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassicSide {
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// The assignors that it knows, its favourite first.
    pub protocols: Vec<ClassicProtocol>,
}

/// One of the assignors a classic member knows, with what it would tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassicProtocol {
    /// The assignor's name.
    pub name: String,
    /// Its subscription, encoded.
    #[serde(with = "super::stored::base64")]
    pub metadata: Bytes,
}

/// JoinGroup, to a group of the new protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicJoin {
    /// Its member id; a fresh one if it brought none.
    pub member_id: String,
    /// It brought none.
    pub is_new: bool,
    /// It has to come back with the id it is given (KIP-394).
    pub needs_known_id: bool,
    /// Its instance id, if it is a static member.
    pub instance_id: Option<String>,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to rejoin.
    pub rebalance_timeout_ms: i32,
    /// What kind of group it thinks this is.
    pub protocol_type: String,
    /// The assignors that it knows, its favourite first.
    pub protocols: Vec<ClassicProtocol>,
    /// `client.id` of the request.
    pub client_id: String,
    /// Where the request came from.
    pub client_host: String,
}

/// What a classic member is told when it has joined. It never leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicJoined {
    /// Who it is.
    pub member_id: String,
    /// Its generation: its epoch.
    pub generation: Epoch,
    /// The assignor that it may think is used.
    pub protocol: String,
}

/// SyncGroup, to a group of the new protocol.
#[derive(Clone, Copy, Debug)]
pub struct ClassicSync<'a> {
    /// Who asks.
    pub member_id: &'a str,
    /// Its instance id.
    pub instance_id: Option<&'a str>,
    /// The generation it was told.
    pub generation: Epoch,
    /// The kind of group, in versions that say it.
    pub protocol_type: Option<&'a str>,
    /// The assignor, likewise.
    pub protocol_name: Option<&'a str>,
}

impl Live {
    /// A classic member joins, or rejoins to take its next step.
    pub fn join_classic(&mut self, request: &ClassicJoin, moment: &Moment<'_>) -> Result<ClassicJoined, Refusal> {
        self.check_size(&request.member_id, moment)?;
        if !self.group.takes_protocols_of(request) {
            return Err(Refusal::InconsistentProtocol);
        }
        if request.needs_known_id {
            return Err(Refusal::MemberIdRequired);
        }
        let (favourite, subscription) = request.favourite()?;
        let sender = Sender {
            member_id: &request.member_id,
            instance_id: request.instance_id.as_deref(),
            is_classic: true,
        };
        let before = if request.instance_id.is_some() && !request.is_new {
            Member::clone(self.group.sender(sender.member_id, sender.instance_id)?)
        } else {
            self.join(sender)?
        };
        let owned = embedded::by_id(&subscription.owned, moment.topics);
        let updated = request.applied_to(&before, subscription);
        let changed = updated.subscription != before.subscription || self.group.epoch == Epoch::default();
        // Whoever joins has forgotten what it was told in earlier generations.
        let report = Report {
            now: Some(&owned),
            before: None,
            is_full: true,
            starts_over: true,
        };
        self.update(&request.member_id, updated, changed, report, moment)?;
        let due = self.deadlines.of(&request.member_id);
        due.join = None;
        due.sync = Some(moment.now + millis(request.rebalance_timeout_ms));
        Ok(ClassicJoined {
            member_id: request.member_id.clone(),
            generation: self.group.members[&request.member_id].epoch,
            protocol: favourite.name.clone(),
        })
    }

    /// A classic member asks for what it is assigned.
    pub fn sync_classic(&mut self, request: &ClassicSync<'_>, moment: &Moment<'_>) -> Result<Bytes, Refusal> {
        let (member, side) = self
            .group
            .classic_sender(request.member_id, request.instance_id, request.generation)?;
        let is_consumer = request.protocol_type.is_none_or(|kind| kind == PROTOCOL_TYPE);
        let favourite = side.protocols.first().ok_or(Refusal::InconsistentProtocol)?;
        if !is_consumer || request.protocol_name.is_some_and(|name| name != favourite.name) {
            return Err(Refusal::InconsistentProtocol);
        }
        // One that is to give partitions up has rejoined already, and learns here what it is left with.
        if member.epoch < self.group.epoch && member.state != MemberState::Revoking {
            return Err(Refusal::RebalanceInProgress);
        }
        let assigned = member.assigned.partitions();
        let assignment = embedded::write_assignment(&assigned, &favourite.metadata, moment.topics);
        self.deadlines.of(request.member_id).sync = None;
        self.hear_from(request.member_id, &member, moment.now, moment.limits);
        Ok(assignment)
    }

    /// A classic member shows that it lives. Returns whether it has to rejoin.
    pub fn heartbeat_classic(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: Epoch,
        moment: &Moment<'_>,
    ) -> Result<bool, Refusal> {
        let (member, _) = self.group.classic_sender(member_id, instance_id, generation)?;
        self.hear_from(member_id, &member, moment.now, moment.limits);
        // Somebody has to look: classic members may be all that are left to report.
        self.keep_up(false, moment);
        let rejoins = self.group.has_to_rejoin(member_id, &member);
        if rejoins {
            let at = moment.now + millis(member.rebalance_timeout_ms);
            self.deadlines.of(member_id).join.get_or_insert(at);
        }
        Ok(rejoins)
    }

    /// LeaveGroup: members leave, or are removed by a tool, which names them by their instance ids alone.
    pub fn leave_classic(
        &mut self,
        members: &[(String, Option<String>)],
        moment: &Moment<'_>,
    ) -> Vec<Result<(), Refusal>> {
        let find = |(id, instance): &(String, Option<String>)| match instance {
            Some(instance) if id.is_empty() => self
                .group
                .static_member(instance)
                .map(|(id, _)| id.to_owned())
                .ok_or_else(|| Refusal::UnknownMember(instance.clone())),
            instance => self.group.sender(id, instance.as_deref()).map(|_| id.clone()),
        };
        let found: Vec<Result<String, Refusal>> = members.iter().map(find).collect();
        let leaving: Vec<String> = found.iter().flatten().cloned().collect();
        self.remove(&leaving, moment);
        found.into_iter().map(|found| found.map(|_| ())).collect()
    }
}

impl ClassicJoin {
    fn favourite(&self) -> Result<(&ClassicProtocol, ClassicSubscription), Refusal> {
        let favourite = self.protocols.first().ok_or(Refusal::InconsistentProtocol)?;
        let subscription = embedded::subscription(&favourite.metadata).map_err(|_| Refusal::InconsistentProtocol)?;
        Ok((favourite, subscription))
    }

    fn applied_to(&self, member: &Member, subscription: ClassicSubscription) -> Member {
        Member {
            instance_id: self.instance_id.clone().or_else(|| member.instance_id.clone()),
            rack_id: subscription.rack_id.or_else(|| member.rack_id.clone()),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            subscription: Subscription {
                names: subscription.topics,
                regex: None,
            },
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            classic: Some(ClassicSide {
                session_timeout_ms: self.session_timeout_ms,
                protocols: self.protocols.clone(),
            }),
            ..member.clone()
        }
    }
}

impl ConsumerGroup {
    /// Whether all members speak the classic protocol: the last of the others has left, and the group goes back.
    pub fn is_classic_again(&self) -> bool {
        !self.members.is_empty() && self.classic_sides().count() == self.members.len()
    }

    fn classic_sides(&self) -> impl Iterator<Item = &ClassicSide> {
        self.members.values().filter_map(|member| member.classic.as_ref())
    }

    /// An assignor that all classic members know is one that the group can go back with.
    fn takes_protocols_of(&self, request: &ClassicJoin) -> bool {
        let is_known = |name: &str| {
            self.classic_sides()
                .all(|side| side.protocols.iter().any(|known| known.name == name))
        };
        request.protocol_type == PROTOCOL_TYPE && request.protocols.iter().any(|protocol| is_known(&protocol.name))
    }

    fn classic_sender(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        received: Epoch,
    ) -> Result<(Member, &ClassicSide), Refusal> {
        let member = self.sender(member_id, instance_id)?;
        let unknown = || Refusal::UnknownMember(member_id.to_owned());
        let side = member.classic.as_ref().ok_or_else(unknown)?;
        if received != member.epoch {
            let known = member.epoch;
            return Err(Refusal::IllegalGeneration { received, known });
        }
        Ok((Member::clone(member), side))
    }

    /// There are new targets; or it has to give something up; or all that it waits for is free.
    fn has_to_rejoin(&self, member_id: &str, member: &Member) -> bool {
        let target = self.target(member_id);
        let mut missing = target.iter().filter(|key| !member.assigned.contains(key));
        let mut waits_in_vain = || !missing.any(|key| self.is_taken_from(member_id, &key));
        member.epoch < self.epoch
            || member.state == MemberState::Revoking
            || (member.state == MemberState::Waiting && waits_in_vain())
    }
}
