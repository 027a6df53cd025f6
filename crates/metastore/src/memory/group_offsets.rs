//! Committed offsets of groups in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use types::TopicName;

use super::Connection;
use crate::{CommittedOffset, GroupOffset, GroupOffsets, MetastoreError, TopicPartition};

#[async_trait]
impl GroupOffsets for Connection {
    async fn commit_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<BTreeSet<TopicPartition>, MetastoreError> {
        let commit = self.call("commit_group_offsets", |tables, _| {
            let mut known = BTreeSet::new();
            for (at, committed) in offsets {
                let topic = tables.live_topics().find(|topic| topic.name == at.topic);
                let Some(topic) = topic.filter(|topic| topic.has_partition(at.partition)) else {
                    continue;
                };
                let key = (group.to_owned(), topic.number, at.partition);
                tables.group_offsets.insert(key, committed.clone());
                known.insert(at.clone());
            }
            known
        });
        commit.await
    }

    async fn group_offsets(
        &self,
        group: &str,
        topics: Option<&[TopicName]>,
    ) -> Result<Vec<GroupOffset>, MetastoreError> {
        let look = self.call("group_offsets", |tables, _| {
            let of_group = tables.group_offsets.iter().filter(|((name, _, _), _)| name == group);
            let shown = of_group.filter_map(|((_, number, index), committed)| {
                let topic = tables.topics.get(number).filter(|topic| !topic.deleted)?;
                let name = topic.info.name.clone();
                topics.is_none_or(|topics| topics.contains(&name)).then(|| GroupOffset {
                    topic_number: *number,
                    partition: TopicPartition {
                        topic: name,
                        partition: *index,
                    },
                    committed: committed.clone(),
                })
            });
            let mut shown: Vec<GroupOffset> = shown.collect();
            shown.sort_by(|a, b| a.partition.cmp(&b.partition));
            shown
        });
        look.await
    }
}
