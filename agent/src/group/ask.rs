//! What groups are asked, and what they tell. Plain values: a parked answer is known by its ticket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use metastore::GroupKind;

use super::consumer::{ConsumerGroup, Epoch, Heartbeat, HeartbeatAnswer, Refusal};

/// One request that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who a member says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The id that the coordinator gave it; empty: none yet.
    pub member_id: String,
    /// The name it has for as long as its deployment lives (KIP-345).
    pub instance_id: Option<String>,
}

/// A way to divide partitions that a member speaks, and what it has to say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its name, such as `range`.
    pub name: String,
    /// The member's subscription, opaque to the coordinator.
    pub metadata: Bytes,
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct JoinAsk {
    /// Who.
    pub member: Identity,
    /// `client.id` of the connection.
    pub client_id: String,
    /// Where the client is, as Kafka writes it: `/10.0.0.1`.
    pub client_host: String,
    /// Such as `consumer`.
    pub protocol_type: String,
    /// What the member speaks, best first.
    pub protocols: Vec<Protocol>,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long it may take to rejoin.
    pub rebalance_timeout: Duration,
    /// Whether a new member has to come back with the id it is given (KIP-394).
    pub requires_known_id: bool,
    /// Whether a leader can be told that there is nothing to assign (KIP-814).
    pub can_skip_assignment: bool,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncAsk {
    /// Who.
    pub member: Identity,
    /// In which generation.
    pub generation: i32,
    /// What it takes for the group's protocol type, if it says.
    pub protocol_type: Option<String>,
    /// What it takes for the chosen protocol, if it says.
    pub protocol_name: Option<String>,
    /// By member; from the leader only.
    pub assignments: BTreeMap<String, Bytes>,
}

/// A member of some generation: Heartbeat, OffsetCommit.
#[derive(Clone, Debug, Default)]
pub struct MemberAsk {
    /// Who.
    pub member: Identity,
    /// In which generation; negative: none given.
    pub generation: i32,
}

/// A request to a group.
#[derive(Clone, Debug)]
pub enum Ask {
    /// JoinGroup; told [`Told::Joined`].
    Join(JoinAsk),
    /// SyncGroup; told [`Told::Synced`].
    Sync(SyncAsk),
    /// Heartbeat; told [`Told::Alive`].
    Heartbeat(MemberAsk),
    /// LeaveGroup; told [`Told::Left`].
    Leave(Vec<Identity>),
    /// May these offsets be committed? Told [`Told::MayCommit`].
    Commit(MemberAsk),
    /// DescribeGroups; told [`Told::Described`].
    Describe,
    /// May this member of the new protocol know the offsets? Told [`Told::MayFetch`].
    Fetch(MemberAsk),
    /// ConsumerGroupHeartbeat; told [`Told::Heard`].
    ConsumerHeartbeat(Box<Heartbeat>),
    /// ConsumerGroupDescribe; told [`Told::ConsumerGroup`].
    ConsumerDescribe,
    /// May offsets be deleted? Told [`Told::MayForget`].
    Forget,
    /// DeleteGroups; told [`Told::MayDelete`], and then its owner deletes it.
    Delete,
}

/// An answer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The member belongs to a generation.
    Joined(Joined),
    /// Its assignment.
    Synced(Synced),
    /// It is a member in good standing.
    Alive,
    /// What became of each member that was to leave.
    Left(Vec<Result<(), GroupError>>),
    /// Its offsets may be committed as long as the group is in this generation; `None`: in whichever.
    MayCommit {
        /// The generation.
        generation: Option<i32>,
    },
    /// Its offsets may be told.
    MayFetch,
    /// What a member of the new protocol may use.
    Heard(HeartbeatAnswer),
    /// All there is to know of a group of the new protocol.
    ConsumerGroup(ConsumerGroup),
    /// What the group is like.
    Described(Described),
    /// Offsets may be deleted, except of these topics.
    MayForget {
        /// Topics that members are subscribed to.
        subscribed: BTreeSet<String>,
    },
    /// The group has no members.
    MayDelete,
}

/// A member's place in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The generation.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: String,
    /// The protocol that all members speak.
    pub protocol_name: String,
    /// The member that divides the partitions.
    pub leader: String,
    /// Whether the leader has nothing to divide.
    pub skip_assignment: bool,
    /// The id of the member that is told this.
    pub member_id: String,
    /// Everybody, for the leader.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// Its lasting name.
    pub instance_id: Option<String>,
    /// Its subscription in the chosen protocol.
    pub metadata: Bytes,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: String,
    /// The protocol that all members speak.
    pub protocol_name: String,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// A group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its state, in Kafka's words.
    pub state: &'static str,
    /// Its protocol type.
    pub protocol_type: String,
    /// The chosen protocol; empty while none is.
    pub protocol_name: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Its lasting name.
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Its subscription.
    pub metadata: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

/// Why a group does not do what it was asked. Kafka's code for each is picked in `error.rs`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Another agent coordinates the group by now.
    #[error("this agent does not coordinate the group")]
    NotCoordinator,
    /// Nobody can tell at the moment.
    #[error("the group's coordinator is not available")]
    Unavailable,
    /// There is no such group.
    #[error("there is no such group")]
    NotFound,
    /// The group's id cannot be one.
    #[error("illegal group id")]
    InvalidGroupId,
    /// The session timeout is outside the limits.
    #[error("illegal session timeout")]
    InvalidSessionTimeout,
    /// Not a member, or not any more.
    #[error("unknown member")]
    UnknownMember,
    /// The member is to come back with this id.
    #[error("a member id is required")]
    MemberIdRequired(String),
    /// Another process has taken over the member's lasting name.
    #[error("another member has this instance id by now")]
    FencedInstance,
    /// The generation is over, or has not begun.
    #[error("illegal generation")]
    IllegalGeneration,
    /// The group is being rebalanced.
    #[error("the group is rebalancing")]
    Rebalancing,
    /// The member does not speak what the group speaks.
    #[error("inconsistent group protocol")]
    InconsistentProtocol,
    /// The group has as many members as it may have.
    #[error("the group is full")]
    Full,
    /// The group has members.
    #[error("the group is not empty")]
    NotEmpty,
    /// A group of the new protocol does not do it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A request that no client makes.
    #[error("the request contradicts itself")]
    Contradiction,
}

/// Answers on their way out. Nobody is told anything before what it rests on is saved.
#[derive(Debug, Default)]
pub struct Outbox(Vec<(Ticket, Result<Told, GroupError>)>);

impl Outbox {
    /// Answers a request.
    pub fn tell(&mut self, ticket: Ticket, told: Result<Told, GroupError>) {
        self.0.push((ticket, told));
    }

    /// Whether this request was told that the group may be deleted.
    pub fn permits_deletion(&self, ticket: Ticket) -> bool {
        self.0.contains(&(ticket, Ok(Told::MayDelete)))
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Vec<(Ticket, Result<Told, GroupError>)> {
        std::mem::take(&mut self.0)
    }
}

impl Ask {
    /// The kind of group that this request creates where there is none.
    pub fn creates(&self) -> Option<GroupKind> {
        match self {
            Self::Join(join) if join.member.member_id.is_empty() => Some(GroupKind::Classic),
            // A consumer that assigns partitions to itself only commits.
            Self::Commit(commit) if commit.generation < 0 => Some(GroupKind::Classic),
            Self::ConsumerHeartbeat(heartbeat) if heartbeat.epoch == Epoch::JOIN => Some(GroupKind::Consumer),
            Self::ConsumerHeartbeat(_)
            | Self::ConsumerDescribe
            | Self::Fetch(_)
            | Self::Join(_)
            | Self::Sync(_)
            | Self::Heartbeat(_)
            | Self::Leave(_)
            | Self::Commit(_)
            | Self::Describe
            | Self::Forget
            | Self::Delete => None,
        }
    }

    /// What is answered where there is no such group and none is created.
    pub fn without_group(&self) -> Result<Told, GroupError> {
        match self {
            Self::Join(_) | Self::Sync(_) | Self::Heartbeat(_) => Err(GroupError::UnknownMember),
            Self::Leave(members) => {
                let unknown = members.iter().map(|_| Err(GroupError::UnknownMember));
                Ok(Told::Left(unknown.collect()))
            }
            Self::Commit(_) => Err(GroupError::IllegalGeneration),
            Self::Fetch(_) => Ok(Told::MayFetch),
            Self::Describe | Self::ConsumerHeartbeat(_) | Self::ConsumerDescribe | Self::Forget | Self::Delete => {
                Err(GroupError::NotFound)
            }
        }
    }
}
