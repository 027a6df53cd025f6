//! Offsets that consumers have committed. Topics are looked up in the same step, so that an answer never rests on a
//! stale view of them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use types::{Offset, PartitionIndex, TopicName, TopicNumber};

use crate::{GroupFence, GroupWriteError, MetastoreError};

/// A partition, named as consumers name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's index.
    pub partition: PartitionIndex,
}

/// Where a consumer stands in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset to be read next.
    pub offset: Offset,
    /// Leader epoch of the last record read; -1: none given.
    pub leader_epoch: i32,
    /// Whatever the consumer wants to remember.
    pub metadata: String,
}

/// One row of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// Number of the topic.
    pub topic_number: TopicNumber,
    /// The partition.
    pub partition: TopicPartition,
    /// Where the group stands in it.
    pub committed: CommittedOffset,
}

/// The table of group offsets.
#[async_trait]
pub trait GroupOffsets {
    /// Remembers a group's offsets, all at once; answers the partitions that exist, the others are left out.
    async fn commit_group_offsets(
        &self,
        group: &str,
        fence: GroupFence,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<BTreeSet<TopicPartition>, GroupWriteError>;

    /// What a group has committed: in all live topics, or in those of `topics` that live. By topic name and partition.
    async fn group_offsets(
        &self,
        group: &str,
        topics: Option<&[TopicName]>,
    ) -> Result<Vec<GroupOffset>, MetastoreError>;
}
