//! What is shown of a group, and which of its topics are in use.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};

use super::{CONSUMER, ClassicGroup, Phase};
use crate::group::ask::{Described, DescribedMember, GroupError, Told};

impl ClassicGroup {
    /// Its state in Kafka's words.
    pub(super) fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    /// Subscriptions and assignments are shown while they are in force.
    pub(super) fn describe(&self) -> Described {
        let stable = self.phase == Phase::Stable;
        let in_force = |bytes: Bytes| if stable { bytes } else { Bytes::new() };
        let members = self.members.iter().map(|(id, member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: in_force(member.metadata(&self.protocol_name)),
            assignment: in_force(member.assignment.clone()),
        });
        Described {
            state: self.state_name(),
            protocol_type: self.protocol_type.clone(),
            protocol_name: if stable {
                self.protocol_name.clone()
            } else {
                String::new()
            },
            members: members.collect(),
        }
    }

    pub(super) fn forget(&self) -> Result<Told, GroupError> {
        if self.phase != Phase::Empty && self.protocol_type != CONSUMER {
            // What others than consumers are subscribed to cannot be read.
            return Err(GroupError::NotEmpty);
        }
        let all = self.members.values().flat_map(|member| &member.protocols);
        let subscribed = all.flat_map(|protocol| subscription(&protocol.metadata));
        Ok(Told::MayForget {
            subscribed: subscribed.collect(),
        })
    }
}

/// Topics of a consumer's subscription (`ConsumerProtocolSubscription`: a version, then the names; what newer versions add comes
/// after them). Read by hand, as far as the bytes carry: the decoder would take a count's word for the memory it reserves.
fn subscription(metadata: &Bytes) -> BTreeSet<String> {
    let mut bytes = metadata.clone();
    let mut topics = BTreeSet::new();
    let counted = bytes.try_get_i16().and_then(|_version| bytes.try_get_i32());
    for _ in 0..counted.unwrap_or(0) {
        match text(&mut bytes) {
            Some(topic) => topics.insert(topic),
            None => break,
        };
    }
    topics
}

fn text(bytes: &mut Bytes) -> Option<String> {
    let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
    let text = (bytes.remaining() >= length).then(|| bytes.split_to(length))?;
    String::from_utf8(text.to_vec()).ok()
}
