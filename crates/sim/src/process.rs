//! A process as the world sees it: what it can reach, and when. It is killed by cutting it off for good: what it had sent may
//! still arrive, and nothing it does afterwards can be seen by anybody. It is paused by holding everything that would go in or
//! out, so that it comes back late, with requests of long ago.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::watched::Watched;

/// Whom a process talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The bucket.
    S3,
    /// The metastore.
    Postgres,
    /// Kafka clients.
    Clients,
    /// The function.
    Function,
}

impl Peer {
    const ALL: [Self; 4] = [Self::S3, Self::Postgres, Self::Clients, Self::Function];
}

#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    dead: bool,
    paused: bool,
    cut_off: [bool; Peer::ALL.len()],
}

impl Condition {
    fn runs(&self) -> bool {
        !self.dead && !self.paused
    }

    fn reaches(&self, peer: Peer) -> bool {
        self.runs() && !self.cut_off[peer as usize]
    }
}

/// One process; clones are the same one.
#[derive(Clone, Debug)]
pub struct Process {
    name: Arc<str>,
    condition: Arc<Watched<Condition>>,
}

impl Process {
    /// A process that runs and reaches everybody.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            condition: Arc::default(),
        }
    }

    /// What the transcript calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it.
    pub fn kill(&self) {
        self.condition.change(|condition| condition.dead = true);
    }

    /// Stops its clock, so to speak; `false` lets it go on.
    pub fn set_paused(&self, paused: bool) {
        self.condition.change(|condition| condition.paused = paused);
    }

    /// Cuts it off from `peer`, or connects it again.
    pub fn set_cut_off(&self, peer: Peer, cut_off: bool) {
        self.condition
            .change(|condition| condition.cut_off[peer as usize] = cut_off);
    }

    /// Undoes everything but death.
    pub fn heal(&self) {
        self.condition.change(|condition| {
            *condition = Condition {
                dead: condition.dead,
                ..Condition::default()
            }
        });
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.condition.get().dead
    }

    /// Whether something gets through to `peer`, or back, now.
    pub fn reaches(&self, peer: Peer) -> bool {
        self.condition.get().reaches(peer)
    }

    /// Whether something gets through to `peer`, or back, within `patience`, which runs out only for a process that runs. Never
    /// returns to one that is dead.
    pub async fn reach(&self, peer: Peer, patience: Duration) -> bool {
        let passed = timeout(patience, self.pass(peer)).await;
        self.when(Condition::runs).await;
        passed.is_ok()
    }

    /// Returns when something gets through to `peer`, or back; never for one that is dead.
    pub async fn pass(&self, peer: Peer) {
        self.when(|condition| condition.reaches(peer)).await;
    }

    /// Returns when it is dead.
    pub async fn death(&self) {
        self.when(|condition| condition.dead).await;
    }

    async fn when(&self, is_so: impl Fn(&Condition) -> bool) {
        self.condition.when(is_so).await;
    }
}
