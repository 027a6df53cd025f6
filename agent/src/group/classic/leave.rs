//! LeaveGroup: members that go, or that an administrator removes by their lasting names.

use super::ClassicGroup;
use crate::group::ask::{GroupError, Identity, Outbox};
use crate::group::kind::Moment;

impl ClassicGroup {
    pub(super) fn leave(
        &mut self,
        members: &[Identity],
        moment: Moment<'_>,
        out: &mut Outbox,
    ) -> Vec<Result<(), GroupError>> {
        let left: Vec<_> = members.iter().map(|member| self.leave_one(member, out)).collect();
        if left.iter().any(Result::is_ok) {
            self.after_removal(moment, out);
        }
        left
    }

    fn leave_one(&mut self, member: &Identity, out: &mut Outbox) -> Result<(), GroupError> {
        if let (true, Some(instance)) = (member.member_id.is_empty(), &member.instance_id) {
            let id = self
                .static_member(instance)
                .ok_or(GroupError::UnknownMember)?
                .to_owned();
            self.remove(&id, &GroupError::UnknownMember, out);
            return Ok(());
        }
        if self.promised.contains_key(&member.member_id) {
            if member.instance_id.is_some() {
                return Err(GroupError::Contradiction);
            }
            self.promised.remove(&member.member_id);
            return Ok(());
        }
        let id = self.identify(member)?;
        self.remove(&id, &GroupError::UnknownMember, out);
        Ok(())
    }
}
