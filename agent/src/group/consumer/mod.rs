//! Consumer groups of the new protocol (KIP-848): the coordinator assigns, members follow at their own pace. Pure.
//!
//! A [`ConsumerGroup`] is what is stored of a group, and everything that safety needs is in it: who holds which partition, what each
//! was told to give up, and all epochs. A coordinator that takes a group over reads that and goes on where the
//! former one stood, so no partition is ever with two members. [`Deadlines`] are not stored: a new coordinator gives everybody a full
//! session. Both change together, in [`Live`], whose owner stores the group before it answers anybody.
//!
//! Three epochs, none ever shrinks while the group exists: the group's (somebody came, left or changed, or a topic did), the
//! assignment's (for which group epoch the targets were made) and each member's (which targets it has reached).

pub mod assign;
pub mod classic;
mod coordinated;
mod deadlines;
pub mod embedded;
mod heartbeat;
mod leave;
mod live;
mod member;
mod migrate;
mod offsets;
pub mod partitions;
mod pattern;
mod reconcile;
mod refusal;
mod report;
mod state;
mod stored;
mod subscribe;
mod targets;
#[cfg(test)]
mod tests;
mod topics;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use coordinated::Coordinated;
pub use deadlines::Deadlines;
pub use heartbeat::{Heartbeat, HeartbeatAnswer};
pub use live::Live;
pub use member::{Member, MemberState, Subscription};
pub use migrate::{ClassicGroupShape, ClassicMemberShape};
pub use refusal::Refusal;
pub use state::{ConsumerGroup, GroupState};
pub use stored::StoredGroupError;
#[cfg(test)]
pub(crate) use topics::NoTopics;
pub use topics::{TopicShape, Topics};

/// A group's, an assignment's or a member's epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i32);

impl Epoch {
    /// "I join", in place of a member's epoch.
    pub const JOIN: Self = Self(0);
    /// "I leave".
    pub const LEAVE: Self = Self(-1);
    /// "I leave and shall be back", of a static member.
    pub const LEAVE_STATIC: Self = Self(-2);

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("two billion rebalances take centuries"))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a decision depends on besides group and request.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The time.
    pub now: Instant,
    /// The topics that there are.
    pub topics: &'a dyn Topics,
    /// How long, how often, how many.
    pub limits: &'a Limits,
}

/// The limits of a group of this protocol.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A member that is silent for so long is out.
    pub session_timeout: Duration,
    /// How often members are to report.
    pub heartbeat_interval: Duration,
    /// Most members.
    pub members_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_millis(types::limits::CONSUMER_SESSION_TIMEOUT_MS),
            heartbeat_interval: Duration::from_millis(types::limits::CONSUMER_HEARTBEAT_INTERVAL_MS),
            members_max: types::limits::CONSUMER_GROUP_MEMBERS_MAX,
        }
    }
}
