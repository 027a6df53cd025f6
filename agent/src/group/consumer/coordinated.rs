//! A group of the new protocol as its owner holds it: requests of groups in general, put to [`Live`].

use std::collections::BTreeSet;
use std::time::Duration;

use metastore::{GroupKind, GroupState};
use tokio::time::Instant;

use super::classic::{ClassicJoin, ClassicProtocol, ClassicSync};
use super::embedded::PROTOCOL_TYPE;
use super::live::Live;
use super::state::ConsumerGroup;
use super::{Epoch, Heartbeat, Limits, Moment, Refusal};
use crate::group::ask::{Ask, GroupError, Identity, JoinAsk, Joined, MemberAsk, Outbox, SyncAsk, Synced, Ticket, Told};
use crate::group::kind::{Moment as GroupMoment, UnreadableGroup};

/// A group, and whether it has to be saved.
#[derive(Clone, Debug, Default)]
pub struct Coordinated {
    live: Live,
    limits: Limits,
    changed: bool,
}

impl Coordinated {
    /// A group that was just made, or made from a classic one.
    pub fn new(group: ConsumerGroup, now: Instant) -> Self {
        let limits = Limits::default();
        Self {
            live: Live::take_over(group, now, &limits),
            limits,
            changed: true,
        }
    }

    /// The group that a row describes; its timers start now.
    pub fn load(state: &GroupState, now: Instant) -> Result<Self, UnreadableGroup> {
        let group = match &state.content {
            Some(content) => ConsumerGroup::from_bytes(content).map_err(|error| UnreadableGroup(error.to_string()))?,
            None => ConsumerGroup::after(Epoch(state.generation)),
        };
        let mut loaded = Self::new(group, now);
        loaded.changed = false;
        Ok(loaded)
    }

    /// What it is made of.
    pub fn group(&self) -> &ConsumerGroup {
        &self.live.group
    }

    /// Decides what a request leads to; the answer comes at once.
    pub fn handle(&mut self, ask: Ask, ticket: Ticket, moment: GroupMoment<'_>, out: &mut Outbox) {
        let told = match ask {
            Ask::ConsumerHeartbeat(heartbeat) => self.heartbeat(*heartbeat, moment),
            Ask::ConsumerDescribe => Ok(Told::ConsumerGroup(self.live.group.clone())),
            Ask::Join(join) => self.join(join, moment),
            Ask::Sync(sync) => self.sync(&sync, moment),
            Ask::Heartbeat(heartbeat) => self.classic_heartbeat(&heartbeat, moment),
            Ask::Leave(members) => self.leave(members, moment),
            Ask::Commit(member) => self.commit(&member),
            Ask::Fetch(member) => self.fetch(&member),
            Ask::Forget => Ok(self.forget(moment)),
            Ask::Delete if self.is_idle() => Ok(Told::MayDelete),
            Ask::Delete => Err(GroupError::NotEmpty),
            // Kafka shows groups of this protocol through ConsumerGroupDescribe alone.
            Ask::Describe => Err(GroupError::NotFound),
        };
        out.tell(ticket, told);
    }

    /// Throws out whoever has missed a deadline.
    pub fn tick(&mut self, moment: GroupMoment<'_>) {
        let expired: Result<_, Refusal> = self.call(moment, |live, moment| Ok(live.expire(moment)));
        for member in expired.unwrap_or_default() {
            tracing::debug!(member.id = member, "member missed its deadline and is out of its group");
        }
    }

    /// When `tick` has something to decide next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.live.next_deadline()
    }

    /// Whether it has changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether nobody belongs to it.
    pub fn is_idle(&self) -> bool {
        self.live.group.members().next().is_none()
    }

    /// What is written of the group.
    pub fn state(&self) -> GroupState {
        let group = &self.live.group;
        GroupState {
            kind: GroupKind::Consumer,
            generation: group.epoch().0,
            state: group.state().name().to_owned(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            member_count: i32::try_from(group.members().count()).unwrap_or(i32::MAX),
            content: Some(group.to_bytes()),
        }
    }

    /// A heartbeat of the new protocol. A member that brings no id (version 0) is given one.
    pub fn heartbeat(&mut self, mut heartbeat: Heartbeat, moment: GroupMoment<'_>) -> Result<Told, GroupError> {
        if heartbeat.member_id.is_empty() {
            heartbeat.member_id = moment.entropy.uuid_v4().to_string();
        }
        self.call(moment, |live, moment| live.heartbeat(&heartbeat, moment))
            .map(Told::Heard)
            .map_err(GroupError::Refused)
    }

    /// Decides on a copy, which is dropped when it fails: a request that is refused leaves no trace.
    fn call<T>(
        &mut self,
        moment: GroupMoment<'_>,
        decide: impl FnOnce(&mut Live, &Moment<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut next = self.live.clone();
        let decided = decide(
            &mut next,
            &Moment {
                now: moment.now,
                topics: moment.topics,
                limits: &self.limits,
            },
        )?;
        self.changed |= next.group != self.live.group;
        self.live = next;
        Ok(decided)
    }

    fn join(&mut self, join: JoinAsk, moment: GroupMoment<'_>) -> Result<Told, GroupError> {
        if !(moment.limits.session_min..=moment.limits.session_max).contains(&join.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let request = classic_join(join, moment);
        let joined = self.call(moment, |live, moment| live.join_classic(&request, moment));
        let joined = joined.map_err(|refusal| match refusal {
            Refusal::MemberIdRequired => GroupError::MemberIdRequired(request.member_id.clone()),
            refusal => GroupError::Refused(refusal),
        })?;
        Ok(Told::Joined(Joined {
            generation: joined.generation.0,
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocol_name: joined.protocol,
            leader: String::new(),
            skip_assignment: false,
            member_id: joined.member_id,
            members: vec![],
        }))
    }

    fn sync(&mut self, sync: &SyncAsk, moment: GroupMoment<'_>) -> Result<Told, GroupError> {
        let request = ClassicSync {
            member_id: &sync.member.member_id,
            instance_id: sync.member.instance_id.as_deref(),
            generation: Epoch(sync.generation),
            protocol_type: sync.protocol_type.as_deref(),
            protocol_name: sync.protocol_name.as_deref(),
        };
        let assignment = self.call(moment, |live, moment| live.sync_classic(&request, moment))?;
        Ok(Told::Synced(Synced {
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocol_name: sync.protocol_name.clone().unwrap_or_default(),
            assignment,
        }))
    }

    fn classic_heartbeat(&mut self, who: &MemberAsk, moment: GroupMoment<'_>) -> Result<Told, GroupError> {
        let Identity { member_id, instance_id } = &who.member;
        let generation = Epoch(who.generation);
        let rejoins = self.call(moment, |live, moment| {
            live.heartbeat_classic(member_id, instance_id.as_deref(), generation, moment)
        })?;
        if rejoins {
            Err(GroupError::Rebalancing)
        } else {
            Ok(Told::Alive)
        }
    }

    fn leave(&mut self, members: Vec<Identity>, moment: GroupMoment<'_>) -> Result<Told, GroupError> {
        let members: Vec<_> = members
            .into_iter()
            .map(|who| (who.member_id, who.instance_id))
            .collect();
        let left = self.call(moment, |live, moment| Ok(live.leave_classic(&members, moment)))?;
        let left = left.into_iter().map(|left| left.map_err(GroupError::Refused));
        Ok(Told::Left(left.collect()))
    }

    fn commit(&self, who: &MemberAsk) -> Result<Told, GroupError> {
        let group = &self.live.group;
        group.check_commit(&who.member.member_id, Epoch(who.generation))?;
        // Whoever is thrown out before the offsets are written has its commit refused: that begins a new epoch.
        Ok(Told::MayCommit {
            generation: Some(group.epoch().0),
        })
    }

    fn fetch(&self, who: &MemberAsk) -> Result<Told, GroupError> {
        let checked = self
            .live
            .group
            .check_fetch(&who.member.member_id, Epoch(who.generation));
        checked.map(|()| Told::MayFetch).map_err(GroupError::Refused)
    }

    fn forget(&self, moment: GroupMoment<'_>) -> Told {
        let names = moment.topics.names().into_iter();
        let subscribed = names.filter(|name| self.live.group.subscribes_to(name));
        let subscribed: BTreeSet<String> = subscribed.map(str::to_owned).collect();
        Told::MayForget { subscribed }
    }
}

fn classic_join(join: JoinAsk, moment: GroupMoment<'_>) -> ClassicJoin {
    let Identity { member_id, instance_id } = join.member;
    let is_new = member_id.is_empty();
    let protocols = join.protocols.into_iter().map(|protocol| ClassicProtocol {
        name: protocol.name,
        metadata: protocol.metadata,
    });
    ClassicJoin {
        member_id: if is_new {
            moment.entropy.uuid_v4().to_string()
        } else {
            member_id
        },
        is_new,
        needs_known_id: join.requires_known_id && is_new && instance_id.is_none(),
        instance_id,
        session_timeout_ms: ms(join.session_timeout),
        rebalance_timeout_ms: ms(join.rebalance_timeout),
        protocol_type: join.protocol_type,
        protocols: protocols.collect(),
        client_id: join.client_id,
        client_host: join.client_host,
    }
}

fn ms(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}
