//! One member of a consumer group, as it is stored.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::assign::Assignor;
use super::classic::ClassicSide;
use super::partitions::{Held, Key, Partitions};
use super::{Epoch, Refusal};

/// What a member wants to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Topics by name; they need not exist.
    pub names: BTreeSet<String>,
    /// Topics by regular expression, in addition.
    pub regex: Option<String>,
}

/// Where a member stands on its way to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// It holds all that its epoch gives it.
    #[default]
    Stable,
    /// It has been told to give partitions up and has not said yet that it did.
    Revoking,
    /// Partitions of its target are still with other members.
    Waiting,
}

/// A member. Partitions that it is to give up stay with it until it says that it does not use them any more, leaves,
/// or is thrown out: until then nobody else gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its instance id, if it is a static member (KIP-345).
    pub instance_id: Option<String>,
    /// Its rack.
    pub rack_id: Option<String>,
    /// `client.id` of its last request.
    pub client_id: String,
    /// Where its last request came from.
    pub client_host: String,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it would like.
    pub assignor: Option<Assignor>,
    /// What it wants to read.
    pub subscription: Subscription,
    /// What it said in JoinGroup, if it speaks the classic protocol.
    pub classic: Option<ClassicSide>,
    /// The epoch that it was told last.
    pub epoch: Epoch,
    /// The one before: its answer may have been lost.
    pub previous_epoch: Epoch,
    /// Where it stands.
    pub state: MemberState,
    /// What it may use.
    pub assigned: Held,
    /// What it is to give up.
    pub revoking: Held,
}

impl Member {
    /// Whether it has nothing to do on its way to `epoch`'s target.
    pub fn is_reconciled_to(&self, epoch: Epoch) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// Whether nobody else may get this partition.
    pub fn holds(&self, key: &Key) -> bool {
        self.assigned.contains(key) || self.revoking.contains(key)
    }

    /// Whether it left for a while, as static members do.
    pub fn is_away(&self) -> bool {
        self.epoch == Epoch::LEAVE_STATIC
    }

    /// The same member in its next epoch.
    pub(super) fn moved_to(&self, epoch: Epoch) -> Self {
        Self {
            epoch,
            previous_epoch: self.epoch,
            ..self.clone()
        }
    }

    /// Whether a heartbeat of `received` may come from this member now.
    pub(super) fn check_epoch(&self, received: Epoch, owned: Option<&Partitions>) -> Result<(), Refusal> {
        // The answer that told the newer epoch may have been lost. Then it uses nothing that was taken from it since.
        let is_late = received == self.previous_epoch
            && owned.is_some_and(|owned| owned.iter().all(|key| self.assigned.contains(&key)));
        let may = received == Epoch::JOIN || received == self.epoch || (received < self.epoch && is_late);
        if may {
            Ok(())
        } else {
            Err(Refusal::FencedEpoch {
                received,
                known: self.epoch,
            })
        }
    }
}
