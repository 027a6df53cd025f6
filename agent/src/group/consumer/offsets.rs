//! Who may commit and fetch offsets of a group.

use super::state::ConsumerGroup;
use super::{Epoch, Refusal};

impl ConsumerGroup {
    /// Whether a commit is taken from this member. Tools, and consumers that assign partitions to themselves, say neither who
    /// they are nor an epoch, and commit while nobody is in the group.
    pub fn check_commit(&self, member_id: &str, epoch: Epoch) -> Result<(), Refusal> {
        if epoch < Epoch::JOIN && self.members.is_empty() {
            return Ok(());
        }
        self.check_member_epoch(member_id, epoch)
    }

    /// Whether offsets are told to this member; tools may know them at any time.
    pub fn check_fetch(&self, member_id: &str, epoch: Epoch) -> Result<(), Refusal> {
        if epoch < Epoch::JOIN && member_id.is_empty() {
            return Ok(());
        }
        self.check_member_epoch(member_id, epoch)
    }

    fn check_member_epoch(&self, member_id: &str, received: Epoch) -> Result<(), Refusal> {
        let member = self.member(member_id)?;
        let known = member.epoch;
        match &member.classic {
            _ if received == known => Ok(()),
            Some(_) => Err(Refusal::IllegalGeneration { received, known }),
            None => Err(Refusal::StaleEpoch { received, known }),
        }
    }
}
