//! Consumer groups: one row each, which its coordinator has taken.
//!
//! Taking a group gives its row a new coordinator epoch, and every change names the epoch under which it was decided. A
//! coordinator that was replaced, dead or paused, can therefore change nothing any more. What a group is made of
//! is bytes of its coordinator's; the columns beside them are what others need to know.

use std::collections::BTreeSet;

use async_trait::async_trait;
use types::NodeId;

use crate::{MetastoreError, TopicPartition};

/// Drawn anew each time a group is taken; never used twice in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinatorEpoch(pub i64);

/// By which protocol a group's members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// JoinGroup and SyncGroup.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer,
}

/// What a coordinator writes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// By which protocol its members speak.
    pub kind: GroupKind,
    /// The classic generation, or the group epoch of KIP-848.
    pub generation: i32,
    /// Its state, as ListGroups names it.
    pub state: String,
    /// Its protocol type; empty: none.
    pub protocol_type: String,
    /// Its members.
    pub member_count: i32,
    /// Everything else, in a format that names its version; `None`: it has no history.
    pub content: Option<Vec<u8>>,
}

impl GroupState {
    /// A group that nobody has joined.
    pub fn empty(kind: GroupKind) -> Self {
        Self {
            kind,
            generation: 0,
            state: "Empty".to_owned(),
            protocol_type: String::new(),
            member_count: 0,
            content: None,
        }
    }
}

/// A group that was just taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenGroup {
    /// What to name in all changes from now on.
    pub epoch: CoordinatorEpoch,
    /// What its last coordinator wrote.
    pub state: GroupState,
}

/// What is to be known of a group without taking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group_id: String,
    /// The agent that took it last.
    pub coordinator: NodeId,
    /// By which protocol its members speak.
    pub kind: GroupKind,
    /// Its state.
    pub state: String,
    /// Its protocol type; empty: none.
    pub protocol_type: String,
    /// Its members.
    pub member_count: i32,
}

/// Under which circumstances a change of a group was decided; it happens only while they last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFence {
    /// Epoch of the coordinator.
    pub epoch: CoordinatorEpoch,
    /// Generation of the group, where that matters.
    pub generation: Option<i32>,
}

/// Why a group was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupWriteError {
    /// Somebody else has taken the group, it was deleted, or its generation is over.
    #[error("the group has another coordinator or generation by now")]
    Fenced,
    /// Postgres failed; the change may or may not have happened.
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
}

/// How much an expiry took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiredGroups {
    /// Offsets that nobody had committed or used for too long.
    pub offsets: u64,
    /// Groups left without members, offsets and history.
    pub groups: u64,
}

/// The table of consumer groups.
#[async_trait]
pub trait ConsumerGroups {
    /// Takes a group from whoever had it. One that is not there is created as `create` says, or else stays absent.
    async fn take_group(
        &self,
        group: &str,
        coordinator: NodeId,
        create: Option<GroupKind>,
    ) -> Result<Option<TakenGroup>, MetastoreError>;

    /// Writes a group's state.
    async fn save_group(&self, group: &str, epoch: CoordinatorEpoch, state: &GroupState)
    -> Result<(), GroupWriteError>;

    /// Deletes a group and its offsets.
    async fn delete_group(&self, group: &str, epoch: CoordinatorEpoch) -> Result<(), GroupWriteError>;

    /// Forgets offsets of a group; answers those partitions of `partitions` that exist.
    async fn delete_group_offsets(
        &self,
        group: &str,
        epoch: CoordinatorEpoch,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeSet<TopicPartition>, GroupWriteError>;

    /// Every group, by id.
    async fn groups(&self) -> Result<Vec<ListedGroup>, MetastoreError>;

    /// Forgets offsets of groups without members that are older than `retention_ms`, counted from the commit or from
    /// when the last member left, and groups that have neither members nor offsets and have been so for `grace_ms`.
    async fn expire_groups(&self, retention_ms: u64, grace_ms: u64) -> Result<ExpiredGroups, MetastoreError>;
}
