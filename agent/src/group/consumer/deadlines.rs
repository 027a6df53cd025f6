//! What members have to do by when. Not stored: a new coordinator gives everybody the full time again.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Epoch;

/// The deadlines of all members.
#[derive(Clone, Debug, Default)]
pub struct Deadlines(BTreeMap<String, Due>);

/// The deadlines of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    /// Its next sign of life.
    pub session: Option<Instant>,
    /// Giving up partitions, while it is in that epoch.
    pub revocation: Option<(Instant, Epoch)>,
    /// The next JoinGroup of a classic member that was told to rejoin.
    pub join: Option<Instant>,
    /// The SyncGroup of a classic member that has joined.
    pub sync: Option<Instant>,
}

impl Deadlines {
    /// The deadlines of a member, to be changed.
    pub(super) fn of(&mut self, member_id: &str) -> &mut Due {
        self.0.entry(member_id.to_owned()).or_default()
    }

    /// Nothing is expected of it any more.
    pub(super) fn forget(&mut self, member_id: &str) {
        self.0.remove(member_id);
    }

    /// Nothing is expected of those that `is_member` does not know.
    pub(super) fn keep_only(&mut self, is_member: impl Fn(&str) -> bool) {
        self.0.retain(|id, _| is_member(id));
    }

    /// When the first deadline passes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(Due::first).min()
    }

    /// Who has missed one by `now`; `epoch_of` tells members' epochs.
    pub(super) fn missed(&mut self, now: Instant, epoch_of: impl Fn(&str) -> Option<Epoch>) -> Vec<String> {
        for (id, due) in &mut self.0 {
            // It did give up what it had to, and went on to another epoch.
            due.revocation = due.revocation.filter(|(_, epoch)| epoch_of(id) == Some(*epoch));
        }
        let missed = self.0.iter().filter(|(_, due)| due.first().is_some_and(|at| at <= now));
        missed.map(|(id, _)| id.clone()).collect()
    }
}

impl Due {
    fn first(&self) -> Option<Instant> {
        let revocation = self.revocation.map(|(at, _)| at);
        [self.session, revocation, self.join, self.sync]
            .into_iter()
            .flatten()
            .min()
    }
}
