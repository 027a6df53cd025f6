//! Finds or makes the member that a request is about.

use super::member::Member;
use super::partitions::{Held, Partitions};
use super::state::ConsumerGroup;
use super::{Epoch, Refusal};

/// Who sends a request, as it says itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    /// Speaks the classic protocol.
    pub is_classic: bool,
}

impl ConsumerGroup {
    /// The member that joins: known, new, or in place of the one that had its instance id.
    pub(super) fn joining(&mut self, sender: Sender<'_>) -> Result<Member, Refusal> {
        let before = sender.instance_id.and_then(|instance| self.static_member(instance));
        let Some((old_id, old)) = before.map(|(id, member)| (id.to_owned(), Member::clone(member))) else {
            let known = self.members.get(sender.member_id);
            return Ok(known.map(|member| Member::clone(member)).unwrap_or_default());
        };
        if old_id == sender.member_id {
            // Kafka refuses a member of the new protocol that joins again after it was fenced, for its own instance id
            // is in use: by itself.
            return Ok(old);
        }
        if !sender.is_classic && old.classic.is_none() && !old.is_away() {
            return Err(Refusal::UnreleasedInstance(old.instance_id.unwrap_or_default()));
        }
        Ok(self.replace(&old_id, old, sender.member_id))
    }

    /// The member that has joined before.
    pub(super) fn joined(
        &self,
        sender: Sender<'_>,
        epoch: Epoch,
        owned: Option<&Partitions>,
    ) -> Result<Member, Refusal> {
        let member = self.sender(sender.member_id, sender.instance_id)?;
        member.check_epoch(epoch, owned)?;
        Ok(Member::clone(member))
    }

    /// A static member that comes back under another id takes over what the old one had.
    fn replace(&mut self, old_id: &str, old: Member, new_id: &str) -> Member {
        self.members.remove(old_id);
        if let Some(target) = self.targets.remove(old_id) {
            self.targets.insert(new_id.to_owned(), target);
        }
        let new = Member {
            epoch: Epoch::JOIN,
            previous_epoch: Epoch::JOIN,
            revoking: Held::default(),
            ..old
        };
        self.put(new_id, new.clone());
        new
    }
}
