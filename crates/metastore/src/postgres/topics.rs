//! Topics in Postgres.

use std::collections::HashMap;

use async_trait::async_trait;
use types::{TopicId, TopicName, TopicNumber};
use uuid::Uuid;

use super::Postgres;
use crate::topics::{in_the_way, metric_name};
use crate::{Growth, MetastoreError, NewTopic, TopicCreation, TopicInfo, TopicSettings, Topics};

const ALL: &str = "SELECT topic_number, topic_id, name, partition_count, settings::text FROM topics
    WHERE deleted_at_ms IS NULL";
const BY_NAME: &str = "SELECT topic_number, topic_id, name, partition_count, settings::text FROM topics
    WHERE deleted_at_ms IS NULL AND name = ANY($1)";
const BY_ID: &str = "SELECT topic_number, topic_id, name, partition_count, settings::text FROM topics
    WHERE deleted_at_ms IS NULL AND topic_id = ANY($1)";
const ALIKE: &str = "SELECT topic_number, topic_id, name, partition_count, settings::text FROM topics
    WHERE deleted_at_ms IS NULL AND translate(name, '.', '_') = ANY($1)";

/// How often a creation that lost a race asks who won: each time round some other topic came or went.
const CREATE_ATTEMPTS: usize = 5;

type TopicRow = (i32, Uuid, String, i32, String);

#[async_trait]
impl Topics for Postgres {
    async fn topics(&self) -> Result<Vec<TopicInfo>, MetastoreError> {
        from_rows(sqlx::query_as(ALL).fetch_all(&self.pool).await?)
    }

    async fn topics_by_name(&self, names: &[TopicName]) -> Result<Vec<TopicInfo>, MetastoreError> {
        from_rows(sqlx::query_as(BY_NAME).bind(texts(names)).fetch_all(&self.pool).await?)
    }

    async fn topics_by_id(&self, ids: &[TopicId]) -> Result<Vec<TopicInfo>, MetastoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        from_rows(sqlx::query_as(BY_ID).bind(ids).fetch_all(&self.pool).await?)
    }

    async fn topics_in_the_way(&self, names: &[TopicName]) -> Result<Vec<Option<TopicCreation>>, MetastoreError> {
        let alike: Vec<String> = names.iter().map(metric_name).collect();
        let rows = from_rows(sqlx::query_as(ALIKE).bind(alike).fetch_all(&self.pool).await?)?;
        let there: HashMap<String, TopicInfo> = rows
            .into_iter()
            .map(|topic| (metric_name(&topic.name), topic))
            .collect();
        Ok(names
            .iter()
            .map(|name| in_the_way(name, there.get(&metric_name(name))))
            .collect())
    }

    async fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicCreation>, MetastoreError> {
        let names: Vec<TopicName> = topics.iter().map(|topic| topic.name.clone()).collect();
        let mut results: Vec<Option<TopicCreation>> = vec![None; topics.len()];
        for _ in 0..CREATE_ATTEMPTS {
            let open: Vec<&NewTopic> = topics
                .iter()
                .zip(&results)
                .filter(|(_, r)| r.is_none())
                .map(|(t, _)| t)
                .collect();
            if open.is_empty() {
                break;
            }
            let mut created = self.insert_topics(&open).await?;
            // The insert waited for whoever raced with it; this later statement sees what they left.
            let found = self.topics_in_the_way(&names).await?;
            for ((result, name), found) in results.iter_mut().zip(&names).zip(found) {
                if result.is_none() {
                    *result = created.remove(name).map(TopicCreation::Created).or(found);
                }
            }
        }
        results
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| MetastoreError::Unavailable("topics of the same names come and go too fast".to_owned()))
    }

    async fn add_partitions(&self, id: TopicId, partition_count: i32) -> Result<Option<Growth>, MetastoreError> {
        let before: Option<i32> = sqlx::query_scalar(include_str!("queries/topics/add_partitions.sql"))
            .bind(id.0)
            .bind(partition_count)
            .fetch_optional(&self.pool)
            .await?;
        Ok(before.map(|before| Growth::to(partition_count, before)))
    }

    async fn replace_settings(
        &self,
        id: TopicId,
        expected: &TopicSettings,
        settings: &TopicSettings,
    ) -> Result<bool, MetastoreError> {
        let replaced = sqlx::query(
            "UPDATE topics SET settings = $3::jsonb
             WHERE topic_id = $1 AND deleted_at_ms IS NULL AND settings = $2::jsonb",
        )
        .bind(id.0)
        .bind(to_json(expected))
        .bind(to_json(settings))
        .execute(&self.pool)
        .await?;
        Ok(replaced.rows_affected() == 1)
    }

    async fn delete_topic(&self, id: TopicId) -> Result<bool, MetastoreError> {
        let mut transaction = self.begin().await?;
        let number: Option<i32> = sqlx::query_scalar(
            "UPDATE topics SET deleted_at_ms = (extract(epoch FROM now()) * 1000)::int8
             WHERE topic_id = $1 AND deleted_at_ms IS NULL RETURNING topic_number",
        )
        .bind(id.0)
        .fetch_optional(&mut transaction)
        .await?;
        let Some(number) = number else {
            transaction.rollback().await?;
            return Ok(false);
        };
        // Locked in the commit's order first: a DELETE alone takes its locks in whatever order it meets the rows.
        for statement in [
            "SELECT partition_index FROM partitions WHERE topic_number = $1 ORDER BY partition_index FOR UPDATE",
            "DELETE FROM partitions WHERE topic_number = $1",
        ] {
            sqlx::query(statement).bind(number).execute(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

impl Postgres {
    async fn insert_topics(&self, topics: &[&NewTopic]) -> Result<HashMap<TopicName, TopicInfo>, MetastoreError> {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let counts: Vec<i32> = topics.iter().map(|topic| topic.partition_count).collect();
        let settings: Vec<String> = topics.iter().map(|topic| to_json(&topic.settings)).collect();
        let rows = sqlx::query_as(include_str!("queries/topics/create.sql"))
            .bind(names)
            .bind(counts)
            .bind(settings)
            .fetch_all(&self.pool)
            .await?;
        Ok(from_rows(rows)?
            .into_iter()
            .map(|topic| (topic.name.clone(), topic))
            .collect())
    }
}

fn texts(names: &[TopicName]) -> Vec<&str> {
    names.iter().map(TopicName::as_str).collect()
}

fn to_json(settings: &TopicSettings) -> String {
    serde_json::to_string(&settings.0).expect("a map of texts is always JSON")
}

fn from_rows(rows: Vec<TopicRow>) -> Result<Vec<TopicInfo>, MetastoreError> {
    rows.into_iter().map(from_row).collect()
}

fn from_row((number, id, name, partition_count, settings): TopicRow) -> Result<TopicInfo, MetastoreError> {
    let name = TopicName::new(&name).map_err(|e| MetastoreError::Internal(format!("topic {name:?}: {e}")))?;
    let settings = serde_json::from_str(&settings)
        .map_err(|e| MetastoreError::Internal(format!("settings of topic {name}: {e}")))?;
    Ok(TopicInfo {
        number: TopicNumber(number),
        id: TopicId(id),
        name,
        partition_count,
        settings: TopicSettings(settings),
    })
}
