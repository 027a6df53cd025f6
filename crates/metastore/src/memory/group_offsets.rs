//! Committed offsets of groups in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use types::TopicName;

use super::Connection;
use super::tables::StoredOffset;
use crate::{CommittedOffset, GroupFence, GroupOffset, GroupOffsets, GroupWriteError, MetastoreError, TopicPartition};

#[async_trait]
impl GroupOffsets for Connection {
    async fn commit_group_offsets(
        &self,
        group: &str,
        fence: GroupFence,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<BTreeSet<TopicPartition>, GroupWriteError> {
        let commit = self.call("commit_group_offsets", |tables, now| {
            tables.fenced(group, fence)?;
            let mut known = BTreeSet::new();
            for (at, committed) in offsets {
                let Some(number) = tables.number_of(at) else { continue };
                let stored = StoredOffset {
                    committed: committed.clone(),
                    at: now,
                };
                let key = (group.to_owned(), number, at.partition);
                tables.group_offsets.insert(key, stored);
                known.insert(at.clone());
            }
            Ok(known)
        });
        commit.await?
    }

    async fn group_offsets(
        &self,
        group: &str,
        topics: Option<&[TopicName]>,
    ) -> Result<Vec<GroupOffset>, MetastoreError> {
        let look = self.call("group_offsets", |tables, _| {
            let of_group = tables.group_offsets.iter().filter(|((name, _, _), _)| name == group);
            let shown = of_group.filter_map(|((_, number, index), stored)| {
                let topic = tables.topics.get(number).filter(|topic| !topic.deleted)?;
                let name = topic.info.name.clone();
                topics.is_none_or(|topics| topics.contains(&name)).then(|| GroupOffset {
                    topic_number: *number,
                    partition: TopicPartition {
                        topic: name,
                        partition: *index,
                    },
                    committed: stored.committed.clone(),
                })
            });
            let mut shown: Vec<GroupOffset> = shown.collect();
            shown.sort_by(|a, b| a.partition.cmp(&b.partition));
            shown
        });
        look.await
    }
}
