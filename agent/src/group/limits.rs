//! What groups and their members may ask for.

use std::time::Duration;

/// Settings of all groups.
#[derive(Clone, Debug)]
pub struct GroupLimits {
    /// Shortest session timeout (Kafka: `group.min.session.timeout.ms`).
    pub session_min: Duration,
    /// Longest session timeout (Kafka: `group.max.session.timeout.ms`).
    pub session_max: Duration,
    /// How long the first members of a group wait for company (Kafka: `group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// Most members of a group (Kafka: `group.max.size`).
    pub members_max: usize,
}

impl GroupLimits {
    /// Whether a member may be silent for so long.
    pub fn permits_session(&self, timeout: Duration) -> bool {
        (self.session_min..=self.session_max).contains(&timeout)
    }
}

/// How long a new member's first join may be parked before the member is forgotten (Kafka: `NewMemberJoinTimeoutMs`).
/// It does not know its id, so it cannot show that it lives.
pub const NEW_MEMBER_JOIN_MAX: Duration = Duration::from_secs(300);

/// Most ids of one group that new members have been given and have not come back with. Ours: bounds what joins can cost that
/// nobody means.
pub const PROMISED_MAX: usize = 10_000;

/// Most requests that wait for one group's task.
pub const ASKED_MAX: usize = 1024;

/// Most offset commits of one agent that Postgres works on at a time. Ours: less than half of the connections by default; the others are for
/// leases, without which nobody coordinates anything.
pub const COMMITS_MAX: usize = 4;

/// Most requests that are answered from one save.
pub const BATCH_MAX: usize = 256;

/// How long a group that nobody has joined is kept in memory after its last request.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
