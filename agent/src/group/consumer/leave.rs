//! Members leave: by their own will, for a while, or because they were silent for too long.

use super::live::Live;
use super::member::Member;
use super::partitions::Held;
use super::{Epoch, HeartbeatAnswer, Moment, Refusal};

impl Live {
    /// A member of the new protocol says goodbye. A static one may stay away for a session and keeps its place.
    pub(super) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: Epoch,
        moment: &Moment<'_>,
    ) -> Result<HeartbeatAnswer, Refusal> {
        let member = self.group.sender(member_id, instance_id)?;
        if epoch == Epoch::LEAVE_STATIC && instance_id.is_some() {
            let away = Member {
                epoch: Epoch::LEAVE_STATIC,
                revoking: Held::default(),
                ..Member::clone(member)
            };
            self.group.put(member_id, away);
            self.deadlines.of(member_id).revocation = None;
        } else {
            self.remove(&[member_id.to_owned()], moment);
        }
        Ok(HeartbeatAnswer {
            member_id: member_id.to_owned(),
            epoch,
            assignment: None,
        })
    }

    /// Takes members out; what they held is free. The next heartbeat makes new targets.
    pub(super) fn remove(&mut self, member_ids: &[String], moment: &Moment<'_>) {
        for member_id in member_ids {
            self.group.members.remove(member_id);
            self.group.targets.remove(member_id);
            self.deadlines.forget(member_id);
            self.reports.remove(member_id);
        }
        if !member_ids.is_empty() {
            self.group.resolve_patterns(moment.topics);
            self.group.look_at_topics(true, moment.topics);
        }
    }
}
