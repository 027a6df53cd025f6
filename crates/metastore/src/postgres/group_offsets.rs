//! Committed offsets of groups in Postgres.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use types::{Offset, PartitionIndex, TopicName, TopicNumber};

use super::Postgres;
use crate::{CommittedOffset, GroupFence, GroupOffset, GroupOffsets, GroupWriteError, MetastoreError, TopicPartition};

type GroupOffsetRow = (i32, String, i32, i64, i32, Vec<u8>);

#[async_trait]
impl GroupOffsets for Postgres {
    async fn commit_group_offsets(
        &self,
        group: &str,
        fence: GroupFence,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<BTreeSet<TopicPartition>, GroupWriteError> {
        let rows: Vec<(Option<String>, Option<i32>)> = sqlx::query_as(include_str!("queries/group_offsets/commit.sql"))
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
            .bind(fence.epoch.0)
            .bind(fence.generation)
            .fetch_all(&self.pool)
            .await?;
        if rows.is_empty() {
            return Err(GroupWriteError::Fenced);
        }
        let known = rows.into_iter().filter_map(|(topic, index)| topic.zip(index));
        let known = known.map(|(topic, index)| topic_partition(&topic, index));
        Ok(known.collect::<Result<_, _>>()?)
    }

    async fn group_offsets(
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

pub(super) fn topic_partition(topic: &str, index: i32) -> Result<TopicPartition, MetastoreError> {
    let topic = TopicName::new(topic).map_err(|e| MetastoreError::Internal(format!("topic {topic:?}: {e}")))?;
    Ok(TopicPartition {
        topic,
        partition: PartitionIndex(index),
    })
}
