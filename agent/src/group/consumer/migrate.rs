//! A group moves between the protocols while its members go on reading (KIP-848, "Online Migration";
//! `group.consumer.migration.policy` is bidirectional).
//!
//! Up: the first member of the new protocol meets a classic group. What its members were assigned is theirs until they rejoin. Down: the last
//! member of the new protocol has left; the others rejoin as a classic group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::classic::{ClassicProtocol, ClassicSide};
use super::embedded;
use super::member::{Member, Subscription};
use super::partitions::Held;
use super::state::ConsumerGroup;
use super::{Epoch, Moment, Refusal};

/// A classic group, as far as the other protocol is concerned with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicGroupShape {
    /// Its generation.
    pub generation: i32,
    /// The assignor that its members agreed on; none before their first generation.
    pub protocol: Option<String>,
    /// Members by their ids.
    pub members: BTreeMap<String, ClassicMemberShape>,
}

/// A member of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicMemberShape {
    /// Its instance id, if it is a static member.
    pub instance_id: Option<String>,
    /// `client.id` of its last request.
    pub client_id: String,
    /// Where its last request came from.
    pub client_host: String,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to rejoin.
    pub rebalance_timeout_ms: i32,
    /// The assignors that it knows, its favourite first.
    pub protocols: Vec<ClassicProtocol>,
    /// What it was assigned, encoded; empty: nothing.
    pub assignment: Bytes,
}

/// Assignors whose members need nothing but their partitions, whatever else their leader sends along: librdkafka's
/// `cooperative-sticky` repeats what each member said. Kafka refuses them all then. Others, such as Kafka Streams', would lose their state.
const KNOWN_ASSIGNORS: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];

const MALFORMED: Refusal =
    Refusal::NoSuchGroup("a member of the classic group does not use the consumer's embedded protocol");

impl ConsumerGroup {
    /// Takes a classic group over. The caller has made sure that its protocol type is `consumer`, and tells all who wait for
    /// it to rejoin.
    pub fn from_classic(classic: &ClassicGroupShape, moment: &Moment<'_>) -> Result<Self, Refusal> {
        if classic.members.len() > moment.limits.members_max {
            return Err(Refusal::NoSuchGroup(
                "the classic group has more members than a consumer group may have",
            ));
        }
        let epoch = Epoch(classic.generation);
        let mut group = Self::after(epoch);
        for (id, shape) in &classic.members {
            let member = member(shape, classic, moment)?;
            let target = Arc::new(member.assigned.partitions());
            group.targets.insert(id.clone(), target);
            group.put(id, member);
        }
        Ok(group)
    }

    /// Gives the group back to its classic members. They have to be told to rejoin: what they hold is not what a leader
    /// of theirs assigned.
    pub fn to_classic(&self, moment: &Moment<'_>) -> ClassicGroupShape {
        let protocol = self.common_protocol();
        let members = self.members.iter().filter_map(|(id, member)| {
            let side = member.classic.as_ref()?;
            let mut known = side.protocols.iter();
            let metadata = known.find(|known| Some(&known.name) == protocol.as_ref())?;
            let target = self.target(id);
            let shape = ClassicMemberShape {
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: side.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: side.protocols.clone(),
                assignment: embedded::write_assignment(&target, &metadata.metadata, moment.topics),
            };
            Some((id.clone(), shape))
        });
        ClassicGroupShape {
            generation: self.epoch.0,
            members: members.collect(),
            protocol,
        }
    }

    /// The assignor that most classic members like best, of those that all of them know.
    fn common_protocol(&self) -> Option<String> {
        let sides: Vec<&ClassicSide> = self
            .members
            .values()
            .filter_map(|member| member.classic.as_ref())
            .collect();
        let knows = |side: &ClassicSide, name: &str| side.protocols.iter().any(|known| known.name == name);
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for side in &sides {
            let mut names = side.protocols.iter().map(|known| known.name.as_str());
            let favourite = names.find(|name| sides.iter().all(|other| knows(other, name)))?;
            *votes.entry(favourite).or_default() += 1;
        }
        let winner = votes.into_iter().max_by_key(|(_, votes)| *votes);
        winner.map(|(name, _)| name.to_owned())
    }
}

fn member(shape: &ClassicMemberShape, group: &ClassicGroupShape, moment: &Moment<'_>) -> Result<Member, Refusal> {
    let agreed = shape
        .protocols
        .iter()
        .find(|known| group.protocol.as_ref() == Some(&known.name));
    let metadata = agreed.or(shape.protocols.first()).ok_or(MALFORMED)?;
    let subscription = embedded::subscription(&metadata.metadata).map_err(|_| MALFORMED)?;
    let assignment = embedded::assignment(&shape.assignment).map_err(|_| MALFORMED)?;
    let is_known = group
        .protocol
        .as_deref()
        .is_some_and(|name| KNOWN_ASSIGNORS.contains(&name));
    if assignment.has_user_data && !is_known {
        return Err(Refusal::NoSuchGroup(
            "the classic group uses an assignor of its own, whose data would be lost",
        ));
    }
    let epoch = Epoch(group.generation);
    Ok(Member {
        instance_id: shape.instance_id.clone(),
        rack_id: subscription.rack_id,
        client_id: shape.client_id.clone(),
        client_host: shape.client_host.clone(),
        rebalance_timeout_ms: shape.rebalance_timeout_ms,
        subscription: Subscription {
            names: subscription.topics,
            regex: None,
        },
        classic: Some(ClassicSide {
            session_timeout_ms: shape.session_timeout_ms,
            protocols: shape.protocols.clone(),
        }),
        epoch,
        previous_epoch: epoch,
        assigned: Held::since(epoch, &embedded::by_id(&assignment.partitions, moment.topics)),
        ..Member::default()
    })
}
