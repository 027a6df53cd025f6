//! The kinds of faults, and which of them take turns.

use serde::Serialize;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    AgentKilled,
    AgentFrozen,
    AgentRestarted,
    PostgresStopped,
    PostgresKilled,
    PostgresFrozen,
    FunctionKilled,
    FunctionStopped,
    SidecarKilled,
    SidecarFrozen,
    S3Fails,
    S3Resets,
    S3AnswerLost,
    S3HappensLater,
    S3Throttles,
    S3Conflicts,
    S3BodyCut,
    S3Slow,
    S3Down,
    S3Silent,
    EventsLost,
    EventsDoubled,
    EventsDelayed,
    EventsReordered,
    EventsHeld,
}

/// Faults of one track come one after the other; the tracks run beside each other, so that several things go wrong at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Track {
    Agents,
    Postgres,
    Helpers,
    S3,
    Events,
}

impl Track {
    pub(crate) const ALL: [Self; 5] = [Self::Agents, Self::Postgres, Self::Helpers, Self::S3, Self::Events];

    pub(crate) fn faults(self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| fault.track() == self).collect()
    }

    /// Seconds of peace between two faults, at least and at most. Without Postgres nothing is acked to `acks=all`, so
    /// that it gets the longest.
    pub(crate) fn peace_s(self) -> (u64, u64) {
        match self {
            Self::Agents => (4, 10),
            Self::Postgres => (12, 25),
            Self::Helpers => (3, 8),
            Self::S3 => (3, 8),
            Self::Events => (2, 6),
        }
    }
}

impl Fault {
    pub(crate) const ALL: [Self; 25] = [
        Self::AgentKilled,
        Self::AgentFrozen,
        Self::AgentRestarted,
        Self::PostgresStopped,
        Self::PostgresKilled,
        Self::PostgresFrozen,
        Self::FunctionKilled,
        Self::FunctionStopped,
        Self::SidecarKilled,
        Self::SidecarFrozen,
        Self::S3Fails,
        Self::S3Resets,
        Self::S3AnswerLost,
        Self::S3HappensLater,
        Self::S3Throttles,
        Self::S3Conflicts,
        Self::S3BodyCut,
        Self::S3Slow,
        Self::S3Down,
        Self::S3Silent,
        Self::EventsLost,
        Self::EventsDoubled,
        Self::EventsDelayed,
        Self::EventsReordered,
        Self::EventsHeld,
    ];

    fn track(self) -> Track {
        match self {
            Self::AgentKilled | Self::AgentFrozen | Self::AgentRestarted => Track::Agents,
            Self::PostgresStopped | Self::PostgresKilled | Self::PostgresFrozen => Track::Postgres,
            Self::FunctionKilled | Self::FunctionStopped | Self::SidecarKilled | Self::SidecarFrozen => Track::Helpers,
            Self::S3Fails
            | Self::S3Resets
            | Self::S3AnswerLost
            | Self::S3HappensLater
            | Self::S3Throttles
            | Self::S3Conflicts
            | Self::S3BodyCut
            | Self::S3Slow
            | Self::S3Down
            | Self::S3Silent => Track::S3,
            Self::EventsLost | Self::EventsDoubled | Self::EventsDelayed | Self::EventsReordered | Self::EventsHeld => {
                Track::Events
            }
        }
    }

    /// In the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AgentKilled => "agent killed (SIGKILL) and started",
            Self::AgentFrozen => "agent frozen (SIGSTOP) beyond lease and sweep",
            Self::AgentRestarted => "agent stopped in order and started",
            Self::PostgresStopped => "Postgres stopped and started",
            Self::PostgresKilled => "Postgres killed (SIGKILL) and started",
            Self::PostgresFrozen => "Postgres frozen (SIGSTOP)",
            Self::FunctionKilled => "function killed (SIGKILL) at work",
            Self::FunctionStopped => "function away",
            Self::SidecarKilled => "sidecar killed (SIGKILL) and started",
            Self::SidecarFrozen => "sidecar frozen (SIGSTOP)",
            Self::S3Fails => "S3 request refused (500, 503)",
            Self::S3Resets => "S3 connection closed before it happened",
            Self::S3AnswerLost => "S3 answer lost after it happened",
            Self::S3HappensLater => "S3 request given up that happens later",
            Self::S3Throttles => "S3 throttles (503 SlowDown)",
            Self::S3Conflicts => "S3 conflict (409)",
            Self::S3BodyCut => "S3 body cut short",
            Self::S3Slow => "S3 slow",
            Self::S3Down => "S3 down, connections closed",
            Self::S3Silent => "S3 down, no answer",
            Self::EventsLost => "event lost",
            Self::EventsDoubled => "event doubled",
            Self::EventsDelayed => "event delayed",
            Self::EventsReordered => "event overtaken",
            Self::EventsHeld => "all events held back",
        }
    }
}
