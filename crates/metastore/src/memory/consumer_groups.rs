//! Consumer groups in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use types::{NodeId, TimestampMs};

use super::Connection;
use super::tables::{ConsumerGroup, Tables};
use crate::{
    ConsumerGroups, CoordinatorEpoch, ExpiredGroups, GroupFence, GroupKind, GroupState, GroupWriteError, ListedGroup,
    MetastoreError, TakenGroup, TopicPartition,
};

#[async_trait]
impl ConsumerGroups for Connection {
    async fn take_group(
        &self,
        group: &str,
        coordinator: NodeId,
        create: Option<GroupKind>,
    ) -> Result<Option<TakenGroup>, MetastoreError> {
        let take = self.call("take_group", |tables, now| {
            if let Some(kind) = create {
                let new = || ConsumerGroup::new(kind, now);
                tables.consumer_groups.entry(group.to_owned()).or_insert_with(new);
            }
            let epoch = CoordinatorEpoch(tables.coordinator_epochs + 1);
            let row = tables.consumer_groups.get_mut(group)?;
            tables.coordinator_epochs = epoch.0;
            row.epoch = epoch;
            row.coordinator = coordinator;
            Some(TakenGroup {
                epoch,
                state: row.state.clone(),
            })
        });
        take.await
    }

    async fn save_group(
        &self,
        group: &str,
        epoch: CoordinatorEpoch,
        state: &GroupState,
    ) -> Result<(), GroupWriteError> {
        let save = self.call("save_group", |tables, now| {
            let row = tables.fenced(group, whatever_generation(epoch))?;
            row.state = state.clone();
            row.empty_since = (state.member_count == 0).then(|| row.empty_since.unwrap_or(now));
            Ok(())
        });
        save.await?
    }

    async fn delete_group(&self, group: &str, epoch: CoordinatorEpoch) -> Result<(), GroupWriteError> {
        let delete = self.call("delete_group", |tables, _| {
            tables.fenced(group, whatever_generation(epoch))?;
            tables.consumer_groups.remove(group);
            tables.group_offsets.retain(|(name, _, _), _| name != group);
            Ok(())
        });
        delete.await?
    }

    async fn delete_group_offsets(
        &self,
        group: &str,
        epoch: CoordinatorEpoch,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeSet<TopicPartition>, GroupWriteError> {
        let delete = self.call("delete_group_offsets", |tables, _| {
            tables.fenced(group, whatever_generation(epoch))?;
            let mut known = BTreeSet::new();
            for at in partitions {
                let Some(number) = tables.number_of(at) else { continue };
                tables.group_offsets.remove(&(group.to_owned(), number, at.partition));
                known.insert(at.clone());
            }
            Ok(known)
        });
        delete.await?
    }

    async fn groups(&self) -> Result<Vec<ListedGroup>, MetastoreError> {
        let look = self.call("groups", |tables, _| {
            let listed = tables.consumer_groups.iter().map(|(id, row)| ListedGroup {
                group_id: id.clone(),
                coordinator: row.coordinator,
                kind: row.state.kind,
                state: row.state.state.clone(),
                protocol_type: row.state.protocol_type.clone(),
                member_count: row.state.member_count,
            });
            listed.collect()
        });
        look.await
    }

    async fn expire_groups(&self, retention_ms: u64, grace_ms: u64) -> Result<ExpiredGroups, MetastoreError> {
        let expire = self.call("expire_groups", |tables, now| {
            let before = (tables.group_offsets.len(), tables.consumer_groups.len());
            let groups = &mut tables.consumer_groups;
            tables.group_offsets.retain(|(group, _, _), committed| {
                let empty_since = groups.get(group).and_then(|row| row.empty_since);
                empty_since.is_none_or(|since| !is_older(since.max(committed.at), now, retention_ms))
            });
            let offsets = &tables.group_offsets;
            groups.retain(|id, row| {
                let has_offsets = offsets.keys().any(|(group, _, _)| group == id);
                has_offsets || row.empty_since.is_none_or(|since| !is_older(since, now, grace_ms))
            });
            ExpiredGroups {
                offsets: (before.0 - offsets.len()) as u64,
                groups: (before.1 - groups.len()) as u64,
            }
        });
        expire.await
    }
}

fn whatever_generation(epoch: CoordinatorEpoch) -> GroupFence {
    GroupFence {
        epoch,
        generation: None,
    }
}

fn is_older(then: TimestampMs, now: TimestampMs, ms: u64) -> bool {
    then.0.saturating_add_unsigned(ms) < now.0
}

impl Tables {
    /// The row of a group, if the circumstances are those of `fence`.
    pub(super) fn fenced(&mut self, group: &str, fence: GroupFence) -> Result<&mut ConsumerGroup, GroupWriteError> {
        let row = self.consumer_groups.get_mut(group).ok_or(GroupWriteError::Fenced)?;
        let same_generation = fence
            .generation
            .is_none_or(|generation| generation == row.state.generation);
        if row.epoch == fence.epoch && same_generation {
            Ok(row)
        } else {
            Err(GroupWriteError::Fenced)
        }
    }
}

impl ConsumerGroup {
    fn new(kind: GroupKind, now: TimestampMs) -> Self {
        Self {
            epoch: CoordinatorEpoch(0),
            coordinator: NodeId(-1),
            state: GroupState::empty(kind),
            empty_since: Some(now),
        }
    }
}
