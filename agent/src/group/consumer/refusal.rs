//! Why a group does not do what a member asks for. `crate::error` gives each its Kafka code.

use super::Epoch;

/// Why a request of a member, or about one, is refused. The group is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request contradicts itself or the protocol.
    #[error("{0}")]
    Invalid(&'static str),
    /// An assignor we do not have.
    #[error("there is no assignor named {0}; there are uniform and range")]
    UnsupportedAssignor(String),
    /// A regular expression that cannot be used.
    #[error("{regex} is no regular expression of RE2's syntax: {reason}")]
    InvalidRegularExpression {
        /// The expression.
        regex: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such group, or it is of another kind and cannot become a consumer group.
    #[error("{0}")]
    NoSuchGroup(&'static str),
    /// The member is not, or no longer, in the group.
    #[error("the group has no member {0}")]
    UnknownMember(String),
    /// The member has to give up all its partitions and join again.
    #[error("the member is in epoch {known}, not in {received}; it has to give up its partitions and join again")]
    FencedEpoch {
        /// What the request says.
        received: Epoch,
        /// What we know.
        known: Epoch,
    },
    /// The epoch of an offset request is not the member's.
    #[error("the member is in epoch {known}, not in {received}")]
    StaleEpoch {
        /// What the request says.
        received: Epoch,
        /// What we know.
        known: Epoch,
    },
    /// The generation of a classic member is not its own.
    #[error("the member is in generation {known}, not in {received}")]
    IllegalGeneration {
        /// What the request says.
        received: Epoch,
        /// What we know.
        known: Epoch,
    },
    /// Another member has this instance id and has not left.
    #[error("instance id {0} is in use by another member")]
    UnreleasedInstance(String),
    /// Another member has taken this instance id over.
    #[error("instance id {0} belongs to another member")]
    FencedInstance(String),
    /// The group takes no more members.
    #[error("the group has all the {0} members that it may have")]
    Full(usize),
    /// No embedded protocol that all classic members know.
    #[error("the members of the group share no protocol with this one")]
    InconsistentProtocol,
    /// The classic member has to come back with the member id that it is given.
    #[error("the member has to join with the id that it was given")]
    MemberIdRequired,
    /// The classic member has to join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
}
