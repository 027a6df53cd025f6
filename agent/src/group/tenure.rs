//! Who coordinates which group, and whether we can be sure that we still do.

use std::sync::Arc;
use std::time::Duration;

use metastore::LiveAgent;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ask::GroupError;
use crate::cluster::lease::Confirmation;
use crate::cluster::placement::coordinating_agent;
use crate::cluster::view::{ClusterSnapshot, ClusterView};

/// This agent's claim on groups. Three things have to hold: the live agents as we know them make us the group's coordinator,
/// we have asked who they are within the TTL of a lease, or another one could have come and taken the group, and our lease was renewed
/// within its TTL, so that no other agent has seen us dead. A process that wakes from a long pause
/// fails the last, however much it remembers; and when its lease is renewed that is another term, for which it has to read anew.
#[derive(Clone, Debug)]
pub struct Tenure {
    cluster: Arc<ClusterView>,
    confirmed: watch::Receiver<Confirmation>,
    ttl: Duration,
}

/// Who answers for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This agent.
    Here,
    /// Another one.
    At(LiveAgent),
}

impl Tenure {
    /// `confirmed` is how certain it is that our lease of this TTL is held.
    pub fn new(cluster: Arc<ClusterView>, confirmed: watch::Receiver<Confirmation>, ttl: Duration) -> Self {
        Self {
            cluster,
            confirmed,
            ttl,
        }
    }

    /// Who coordinates a group, as far as we know.
    pub fn place(&self, group: &str) -> Place {
        let snapshot = self.cluster.snapshot();
        let agent = coordinating_agent(snapshot.agents(), group);
        if agent.node_id == self.cluster.node_id() {
            Place::Here
        } else {
            Place::At(agent.clone())
        }
    }

    /// The topics that there are, as far as we know.
    pub fn topics(&self) -> Arc<ClusterSnapshot> {
        self.cluster.snapshot()
    }

    /// Whether our lease is certainly held at `now`.
    pub fn is_confirmed(&self, now: Instant) -> bool {
        let confirmed = self.confirmed.borrow().at;
        confirmed.is_some_and(|at| now.saturating_duration_since(at) < self.ttl)
    }

    /// Our lease's term. What was known in an earlier one may have been changed by another agent meanwhile.
    pub fn term(&self) -> u64 {
        self.confirmed.borrow().term
    }

    /// Whether we may answer for a group from memory.
    pub fn check(&self, group: &str, now: Instant) -> Result<(), GroupError> {
        if self.place(group) != Place::Here {
            return Err(GroupError::NotCoordinator);
        }
        if !self.is_confirmed(now) || !self.cluster.is_fresh(self.ttl, now) {
            return Err(GroupError::Unavailable);
        }
        Ok(())
    }

    /// Returns when the set of live agents has changed, or might have.
    pub async fn changed(&mut self) {
        // Whoever renews the lease outlives everybody who waits here, except at the very end.
        if self.confirmed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
