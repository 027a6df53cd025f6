//! How the agents stand.

use clap::ValueEnum;

/// What the clients meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Layout {
    /// One agent.
    One,
    /// Two agents, each with an address of its own.
    Two,
    /// Two agents that advertise the one address of an nginx before them.
    Nginx,
}

impl Layout {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Two, Self::Nginx];

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Nginx => "nginx",
        }
    }

    pub(crate) fn agents(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Two | Self::Nginx => 2,
        }
    }
}
