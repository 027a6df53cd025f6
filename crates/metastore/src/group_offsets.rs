//! Offsets that consumers have committed. Topics are looked up in the same statement, so that an answer never rests on
//! a stale view of them.

use std::collections::{BTreeMap, HashSet};

use types::{Offset, PartitionIndex, TopicName, TopicNumber};

use crate::{Metastore, MetastoreError};

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

type GroupOffsetRow = (i32, String, i32, i64, i32, Vec<u8>);

impl Metastore {
    /// Remembers a group's offsets, all in one statement; answers the partitions that exist, the others are left out.
    pub async fn commit_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<HashSet<TopicPartition>, MetastoreError> {
        let rows: Vec<(String, i32)> = sqlx::query_as(include_str!("queries/group_offsets/commit.sql"))
            .bind(group)
            .bind(offsets.keys().map(|key| key.topic.as_str()).collect::<Vec<_>>())
            .bind(offsets.keys().map(|key| key.partition.0).collect::<Vec<_>>())
            .bind(offsets.values().map(|value| value.offset.0).collect::<Vec<_>>())
            .bind(offsets.values().map(|value| value.leader_epoch).collect::<Vec<_>>())
            .bind(
                offsets
                    .values()
                    .map(|value| value.metadata.as_bytes())
                    .collect::<Vec<_>>(),
            )
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter()
            .map(|(topic, index)| topic_partition(&topic, index))
            .collect()
    }

    /// What a group has committed: in all live topics, or in those of `topics` that live. By topic name and partition.
    pub async fn group_offsets(
        &self,
        group: &str,
        topics: Option<&[TopicName]>,
    ) -> Result<Vec<GroupOffset>, MetastoreError> {
        let names = topics.map(|topics| topics.iter().map(TopicName::as_str).collect::<Vec<_>>());
        let rows: Vec<GroupOffsetRow> = sqlx::query_as(
            "SELECT t.topic_number, t.name, o.partition_index, o.committed_offset, o.leader_epoch, o.metadata
             FROM group_offsets o JOIN topics t USING (topic_number)
             WHERE o.group_id = $1 AND t.deleted_at_ms IS NULL AND ($2::text[] IS NULL OR t.name = ANY($2))
             ORDER BY t.name, o.partition_index",
        )
        .bind(group)
        .bind(names)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(from_row).collect()
    }
}

fn from_row(row: GroupOffsetRow) -> Result<GroupOffset, MetastoreError> {
    let (number, topic, index, offset, leader_epoch, metadata) = row;
    let metadata =
        String::from_utf8(metadata).map_err(|e| MetastoreError::Internal(format!("offset metadata: {e}")))?;
    Ok(GroupOffset {
        topic_number: TopicNumber(number),
        partition: topic_partition(&topic, index)?,
        committed: CommittedOffset {
            offset: Offset(offset),
            leader_epoch,
            metadata,
        },
    })
}

fn topic_partition(topic: &str, index: i32) -> Result<TopicPartition, MetastoreError> {
    let topic = TopicName::new(topic).map_err(|e| MetastoreError::Internal(format!("topic {topic:?}: {e}")))?;
    Ok(TopicPartition {
        topic,
        partition: PartitionIndex(index),
    })
}
