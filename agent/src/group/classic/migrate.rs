//! A classic group as the other protocol sees it, and one made from what that protocol leaves.

use std::time::Duration;

use metastore::{GroupKind, GroupState};

use super::member::Member;
use super::{CONSUMER, ClassicGroup, Phase};
use crate::group::ask::{GroupError, Identity, JoinAsk, Outbox, Protocol};
use crate::group::consumer::classic::ClassicProtocol;
use crate::group::consumer::{ClassicGroupShape, ClassicMemberShape};
use crate::group::kind::Moment;

impl ClassicGroup {
    /// Its generation.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The group, for whoever takes it over; `None`: its members are no consumers. Members that have not been told their id yet join
    /// anew.
    pub fn shape(&self) -> Option<ClassicGroupShape> {
        if self.protocol_type != CONSUMER {
            return None;
        }
        let known = self.members.iter().filter(|(_, member)| member.knows_id);
        Some(ClassicGroupShape {
            generation: self.generation,
            protocol: Some(self.protocol_name.clone()).filter(|name| !name.is_empty()),
            members: known.map(|(id, member)| (id.clone(), shape(member))).collect(),
        })
    }

    /// Tells all who wait to join again.
    pub fn send_back(&mut self, out: &mut Outbox) {
        for member in self.members.values_mut() {
            member.answer_parked(&GroupError::Rebalancing, out);
        }
    }

    /// The group that its classic members are left with. They are to rejoin.
    pub fn from_shape(shape: ClassicGroupShape, moment: Moment<'_>, out: &mut Outbox) -> Self {
        let state = GroupState {
            generation: shape.generation,
            protocol_type: CONSUMER.to_owned(),
            ..GroupState::empty(GroupKind::Classic)
        };
        let mut group =
            Self::load(&state, moment.now).expect("a row without content holds nothing that could be unreadable");
        group.protocol_name = shape.protocol.unwrap_or_default();
        let members = shape.members.into_iter();
        group.members = members
            .map(|(id, shape)| (id.clone(), member(id, shape).known(moment.now)))
            .collect();
        group.leader = group.members.keys().next().cloned();
        group.phase = Phase::Stable;
        group.after_removal(moment, out);
        group
    }
}

fn shape(member: &Member) -> ClassicMemberShape {
    let protocols = member.protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.clone(),
        metadata: protocol.metadata.clone(),
    });
    ClassicMemberShape {
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout_ms: i32::try_from(member.session_timeout.as_millis()).unwrap_or(i32::MAX),
        rebalance_timeout_ms: i32::try_from(member.rebalance_timeout.as_millis()).unwrap_or(i32::MAX),
        protocols: protocols.collect(),
        assignment: member.assignment.clone(),
    }
}

fn member(member_id: String, shape: ClassicMemberShape) -> Member {
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    let protocols = shape.protocols.into_iter().map(|protocol| Protocol {
        name: protocol.name,
        metadata: protocol.metadata,
    });
    let join = JoinAsk {
        member: Identity {
            member_id,
            instance_id: shape.instance_id,
        },
        client_id: shape.client_id,
        client_host: shape.client_host,
        protocol_type: CONSUMER.to_owned(),
        protocols: protocols.collect(),
        session_timeout: millis(shape.session_timeout_ms),
        rebalance_timeout: millis(shape.rebalance_timeout_ms),
        requires_known_id: false,
        can_skip_assignment: false,
    };
    let mut member = Member::new(join, true, tokio::time::Instant::now());
    member.assignment = shape.assignment;
    member
}
