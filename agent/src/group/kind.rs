//! A group in memory, whichever protocol its members speak.

use metastore::{GroupKind, GroupState};
use tokio::time::Instant;
use types::Entropy;

use super::ask::{Ask, Outbox, Ticket};
use super::classic::ClassicGroup;
use super::consumer::{Coordinated, Topics};
use super::limits::GroupLimits;
use super::migration;

/// What a group may know of the world while it decides.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The time.
    pub now: Instant,
    /// The settings.
    pub limits: &'a GroupLimits,
    /// For ids of members.
    pub entropy: &'a dyn Entropy,
    /// The topics that there are.
    pub topics: &'a dyn Topics,
}

/// A group. Its methods decide; `owner` does.
#[derive(Clone, Debug)]
pub enum Group {
    /// JoinGroup and SyncGroup.
    Classic(ClassicGroup),
    /// ConsumerGroupHeartbeat.
    Consumer(Coordinated),
}

/// Content of a row that this build cannot read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the group's row is not readable: {0}")]
pub struct UnreadableGroup(pub String);

impl Group {
    /// The group that a row describes; its timers start now.
    pub fn load(state: &GroupState, now: Instant) -> Result<Self, UnreadableGroup> {
        match state.kind {
            GroupKind::Classic => ClassicGroup::load(state, now).map(Self::Classic),
            GroupKind::Consumer => Coordinated::load(state, now).map(Self::Consumer),
        }
    }

    /// Decides what a request leads to. The answer may come at once or at any later call.
    pub fn handle(&mut self, ask: Ask, ticket: Ticket, moment: Moment<'_>, out: &mut Outbox) {
        match migration::before(self, &ask, moment, out) {
            Ok(Some(replacement)) => *self = replacement,
            Ok(None) => {}
            Err(refused) => return out.tell(ticket, Err(refused)),
        }
        match self {
            Self::Classic(group) => group.handle(ask, ticket, moment, out),
            Self::Consumer(group) => group.handle(ask, ticket, moment, out),
        }
        self.go_back(moment, out);
    }

    /// The last member of the new protocol may have left.
    fn go_back(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        if let Self::Consumer(group) = self
            && let Some(classic) = migration::down(group, moment, out)
        {
            *self = Self::Classic(classic);
        }
    }

    /// Decides what the passing of time leads to.
    pub fn tick(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        match self {
            Self::Classic(group) => group.tick(moment, out),
            Self::Consumer(group) => group.tick(moment),
        }
        self.go_back(moment, out);
    }

    /// When `tick` has something to decide next.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Classic(group) => group.next_deadline(),
            Self::Consumer(group) => group.next_deadline(),
        }
    }

    /// Whether it has changed since this was asked last, so that it has to be saved.
    pub fn take_changed(&mut self) -> bool {
        match self {
            Self::Classic(group) => group.take_changed(),
            Self::Consumer(group) => group.take_changed(),
        }
    }

    /// What is saved of it.
    pub fn state(&self) -> GroupState {
        match self {
            Self::Classic(group) => group.state(),
            Self::Consumer(group) => group.state(),
        }
    }

    /// Whether nobody belongs to it or tries to.
    pub fn is_idle(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_idle(),
            Self::Consumer(group) => group.is_idle(),
        }
    }
}
