//! One member.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::group::ask::{GroupError, JoinAsk, Outbox, Protocol, Ticket};
use crate::group::limits::NEW_MEMBER_JOIN_MAX;

/// A member of a classic group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Whether it has been told its id. One that has not cannot find back to it, so it is not saved.
    pub(super) knows_id: bool,
    /// Its first join has not been answered.
    pub(super) is_new: bool,
    /// When it has been silent for too long.
    silent_at: Instant,
    /// Its JoinGroup that waits for the others.
    joining: Option<Ticket>,
    /// Its SyncGroup that waits for the leader.
    syncing: Option<Ticket>,
}

impl Member {
    pub(super) fn new(join: JoinAsk, knows_id: bool, now: Instant) -> Self {
        Self {
            instance_id: join.member.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            knows_id,
            is_new: true,
            silent_at: now + NEW_MEMBER_JOIN_MAX,
            joining: None,
            syncing: None,
        }
    }

    /// One that a row describes; its session starts now.
    pub(super) fn known(mut self, now: Instant) -> Self {
        self.is_new = false;
        self.knows_id = true;
        self.heard(now);
        self
    }

    /// It shows that it lives.
    pub(super) fn heard(&mut self, now: Instant) {
        if !self.is_new {
            self.silent_at = now + self.session_timeout;
        }
    }

    /// Whether it has been silent for too long. One that waits for us cannot speak; one that does not know its id yet is waited
    /// for so long, in case its client has gone.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (self.is_new || !waits).then_some(self.silent_at)
    }

    /// Takes over what a join says, and whether that differs from what was known.
    pub(super) fn update(&mut self, join: JoinAsk) {
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.protocols = join.protocols;
    }

    pub(super) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    pub(super) fn park_join(&mut self, ticket: Ticket, out: &mut Outbox) {
        // The client has asked again: nobody reads the first answer any more.
        self.answer_parked(&GroupError::Rebalancing, out);
        self.joining = Some(ticket);
    }

    pub(super) fn park_sync(&mut self, ticket: Ticket, out: &mut Outbox) {
        self.answer_parked(&GroupError::Rebalancing, out);
        self.syncing = Some(ticket);
    }

    pub(super) fn take_join(&mut self) -> Option<Ticket> {
        self.joining.take()
    }

    pub(super) fn take_sync(&mut self) -> Option<Ticket> {
        self.syncing.take()
    }

    pub(super) fn answer_parked(&mut self, error: &GroupError, out: &mut Outbox) {
        for ticket in [self.joining.take(), self.syncing.take()].into_iter().flatten() {
            out.tell(ticket, Err(error.clone()));
        }
    }

    pub(super) fn speaks(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|spoken| spoken.name == protocol)
    }

    /// Its subscription in a protocol.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let spoken = self.protocols.iter().find(|spoken| spoken.name == protocol);
        spoken.map(|spoken| spoken.metadata.clone()).unwrap_or_default()
    }
}
