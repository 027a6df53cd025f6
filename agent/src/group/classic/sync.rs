//! SyncGroup.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::member::Member;
use super::{ClassicGroup, Phase};
use crate::group::ask::{GroupError, Outbox, SyncAsk, Synced, Ticket, Told};
use crate::group::kind::Moment;

impl ClassicGroup {
    pub(super) fn sync(&mut self, mut sync: SyncAsk, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        let id = match self.check_sync(&sync) {
            Ok(id) => id,
            Err(error) => return out.tell(ticket, Err(error)),
        };
        match self.phase {
            Phase::Empty => out.tell(ticket, Err(GroupError::UnknownMember)),
            Phase::Preparing { .. } => out.tell(ticket, Err(GroupError::Rebalancing)),
            Phase::Completing => {
                self.note_synced(&id);
                if let Some(member) = self.members.get_mut(&id) {
                    member.park_sync(ticket, out);
                }
                if self.leader.as_ref() == Some(&id) {
                    self.assign(std::mem::take(&mut sync.assignments), moment, out);
                }
            }
            Phase::Stable => {
                self.note_synced(&id);
                self.heard(&id, moment.now);
                out.tell(ticket, Ok(Told::Synced(self.synced(&id))));
            }
        }
    }

    fn check_sync(&self, sync: &SyncAsk) -> Result<String, GroupError> {
        let id = self.identify(&sync.member)?;
        self.check_generation(sync.generation)?;
        let differs = |said: &Option<String>, is: &String| said.as_ref().is_some_and(|said| said != is);
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol_name, &self.protocol_name) {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(id)
    }

    /// The leader has divided the partitions: everybody gets its share, a member that it left out an empty one.
    fn assign(&mut self, mut assignments: BTreeMap<String, Bytes>, moment: Moment<'_>, out: &mut Outbox) {
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.phase = Phase::Stable;
        self.changed = true;
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let parked = self.members.get_mut(&id).and_then(Member::take_sync);
            if let Some(ticket) = parked {
                self.heard(&id, moment.now);
                out.tell(ticket, Ok(Told::Synced(self.synced(&id))));
            }
        }
    }

    fn note_synced(&mut self, id: &str) {
        self.unsynced.remove(id);
        if self.unsynced.is_empty() {
            self.sync_deadline = None;
        }
    }

    fn synced(&self, id: &str) -> Synced {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: assignment.unwrap_or_default(),
        }
    }
}
