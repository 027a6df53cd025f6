//! Consumer groups in Postgres.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;
use types::NodeId;

use super::Postgres;
use super::group_offsets::topic_partition;
use super::leases::millis;
use crate::{
    ConsumerGroups, CoordinatorEpoch, ExpiredGroups, GroupKind, GroupState, GroupWriteError, ListedGroup,
    MetastoreError, TakenGroup, TopicPartition,
};

#[async_trait]
impl ConsumerGroups for Postgres {
    async fn take_group(
        &self,
        group: &str,
        coordinator: NodeId,
        create: Option<GroupKind>,
    ) -> Result<Option<TakenGroup>, MetastoreError> {
        let query = match create {
            Some(_) => include_str!("queries/consumer_groups/take_or_create.sql"),
            None => include_str!("queries/consumer_groups/take.sql"),
        };
        let row = sqlx::query(query)
            .bind(group)
            .bind(coordinator.0)
            .bind(create.map(kind_text))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| taken(&row)).transpose()
    }

    async fn save_group(
        &self,
        group: &str,
        epoch: CoordinatorEpoch,
        state: &GroupState,
    ) -> Result<(), GroupWriteError> {
        let saved = sqlx::query(include_str!("queries/consumer_groups/save.sql"))
            .bind(group)
            .bind(epoch.0)
            .bind(kind_text(state.kind))
            .bind(state.generation)
            .bind(&state.state)
            .bind(&state.protocol_type)
            .bind(state.member_count)
            .bind(&state.content)
            .execute(&self.pool)
            .await?;
        fenced_unless(saved.rows_affected() == 1)
    }

    async fn delete_group(&self, group: &str, epoch: CoordinatorEpoch) -> Result<(), GroupWriteError> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query("DELETE FROM consumer_groups WHERE group_id = $1 AND coordinator_epoch = $2")
            .bind(group)
            .bind(epoch.0)
            .execute(&mut transaction)
            .await?;
        fenced_unless(deleted.rows_affected() == 1)?;
        // A later statement: a commit that the row's lock made wait for has left its offsets by now.
        sqlx::query("DELETE FROM group_offsets WHERE group_id = $1")
            .bind(group)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn delete_group_offsets(
        &self,
        group: &str,
        epoch: CoordinatorEpoch,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeSet<TopicPartition>, GroupWriteError> {
        let mut transaction = self.begin().await?;
        let held =
            sqlx::query("SELECT FROM consumer_groups WHERE group_id = $1 AND coordinator_epoch = $2 FOR NO KEY UPDATE")
                .bind(group)
                .bind(epoch.0)
                .fetch_optional(&mut transaction)
                .await?;
        fenced_unless(held.is_some())?;
        let known: Vec<(String, i32)> = sqlx::query_as(include_str!("queries/group_offsets/delete.sql"))
            .bind(group)
            .bind(partitions.iter().map(|at| at.topic.as_str()).collect::<Vec<_>>())
            .bind(partitions.iter().map(|at| at.partition.0).collect::<Vec<_>>())
            .fetch_all(&mut transaction)
            .await?;
        transaction.commit().await?;
        let known = known.into_iter().map(|(topic, index)| topic_partition(&topic, index));
        Ok(known.collect::<Result<_, _>>()?)
    }

    async fn groups(&self) -> Result<Vec<ListedGroup>, MetastoreError> {
        let rows = sqlx::query(
            "SELECT group_id, coordinator_node, kind, state, protocol_type, member_count FROM consumer_groups
             ORDER BY group_id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(listed).collect()
    }

    async fn expire_groups(&self, retention_ms: u64, grace_ms: u64) -> Result<ExpiredGroups, MetastoreError> {
        let mut transaction = self.begin().await?;
        // Held until the end: a member that joins now finds its offsets either there or gone, never vanishing.
        let idle: Vec<String> = sqlx::query_scalar(include_str!("queries/consumer_groups/idle.sql"))
            .bind(millis(retention_ms.min(grace_ms)))
            .fetch_all(&mut transaction)
            .await?;
        let offsets = sqlx::query(
            "DELETE FROM group_offsets o USING consumer_groups g
             WHERE g.group_id = ANY($1) AND o.group_id = g.group_id
               AND greatest(o.committed_at, g.empty_since) < now() - $2 * interval '1 millisecond'",
        )
        .bind(&idle)
        .bind(millis(retention_ms))
        .execute(&mut transaction)
        .await?;
        let groups = sqlx::query(
            "DELETE FROM consumer_groups g WHERE g.group_id = ANY($1)
               AND g.empty_since < now() - $2 * interval '1 millisecond'
               AND NOT EXISTS (SELECT FROM group_offsets o WHERE o.group_id = g.group_id)",
        )
        .bind(&idle)
        .bind(millis(grace_ms))
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(ExpiredGroups {
            offsets: offsets.rows_affected(),
            groups: groups.rows_affected(),
        })
    }
}

fn fenced_unless(held: bool) -> Result<(), GroupWriteError> {
    if held { Ok(()) } else { Err(GroupWriteError::Fenced) }
}

fn kind_text(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Classic => "classic",
        GroupKind::Consumer => "consumer",
    }
}

fn kind(text: &str) -> Result<GroupKind, MetastoreError> {
    match text {
        "classic" => Ok(GroupKind::Classic),
        "consumer" => Ok(GroupKind::Consumer),
        other => Err(MetastoreError::Internal(format!("unknown kind of group: {other}"))),
    }
}

fn taken(row: &PgRow) -> Result<TakenGroup, MetastoreError> {
    Ok(TakenGroup {
        epoch: CoordinatorEpoch(row.try_get("coordinator_epoch")?),
        state: GroupState {
            kind: kind(row.try_get("kind")?)?,
            generation: row.try_get("generation")?,
            state: row.try_get("state")?,
            protocol_type: row.try_get("protocol_type")?,
            member_count: row.try_get("member_count")?,
            content: row.try_get("content")?,
        },
    })
}

fn listed(row: &PgRow) -> Result<ListedGroup, MetastoreError> {
    Ok(ListedGroup {
        group_id: row.try_get("group_id")?,
        coordinator: NodeId(row.try_get("coordinator_node")?),
        kind: kind(row.try_get("kind")?)?,
        state: row.try_get("state")?,
        protocol_type: row.try_get("protocol_type")?,
        member_count: row.try_get("member_count")?,
    })
}
