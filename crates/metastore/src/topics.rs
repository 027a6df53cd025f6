//! Topics: found by name or id, created with their partitions, deleted with them. A topic's number is never used
//! twice; that of a deleted one is never shown again.

use std::collections::{BTreeMap, HashMap};

use types::{PartitionIndex, TopicId, TopicName, TopicNumber};
use uuid::Uuid;

use crate::{Metastore, MetastoreError};

/// A live topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// What other tables call it.
    pub number: TopicNumber,
    /// What Kafka clients and objects call it.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Its partitions are 0 up to this.
    pub partition_count: i32,
    /// What its creator set.
    pub settings: TopicSettings,
}

impl TopicInfo {
    /// Whether it has this partition.
    pub fn has_partition(&self, index: PartitionIndex) -> bool {
        (0..self.partition_count).contains(&index.0)
    }
}

/// Topic settings by Kafka's name, only those that somebody set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings(pub BTreeMap<String, String>);

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// At least 1.
    pub partition_count: i32,
    /// Its settings, already checked.
    pub settings: TopicSettings,
}

/// What became of one topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicCreation {
    /// It is there now, with all its partitions.
    Created(TopicInfo),
    /// A topic of that name is there already.
    AlreadyExists(TopicInfo),
    /// A topic is there whose name differs in '.' and '_' only: Kafka keeps those apart from each other nowhere in
    /// its metrics, so it refuses the second one.
    Collides(TopicInfo),
}

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

impl Metastore {
    /// Every live topic.
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, MetastoreError> {
        from_rows(sqlx::query_as(ALL).fetch_all(&self.pool).await?)
    }

    /// Those of `names` that live, in no order.
    pub async fn topics_by_name(&self, names: &[TopicName]) -> Result<Vec<TopicInfo>, MetastoreError> {
        from_rows(sqlx::query_as(BY_NAME).bind(texts(names)).fetch_all(&self.pool).await?)
    }

    /// The live topic of that name.
    pub async fn topic_by_name(&self, name: &TopicName) -> Result<Option<TopicInfo>, MetastoreError> {
        Ok(self.topics_by_name(std::slice::from_ref(name)).await?.pop())
    }

    /// Those of `ids` that live, in no order.
    pub async fn topics_by_id(&self, ids: &[TopicId]) -> Result<Vec<TopicInfo>, MetastoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        from_rows(sqlx::query_as(BY_ID).bind(ids).fetch_all(&self.pool).await?)
    }

    /// What creating topics of these names would find in the way, in the order given; creates nothing.
    pub async fn topics_in_the_way(&self, names: &[TopicName]) -> Result<Vec<Option<TopicCreation>>, MetastoreError> {
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

    /// Creates topics with their partitions, all that can be in one transaction; one result each, in the order given.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicCreation>, MetastoreError> {
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

    /// Deletes a topic and its partition rows; false when it was not there. Batches of it that are not yet committed
    /// end as "topic deleted"; its group offsets are no longer shown.
    pub async fn delete_topic(&self, id: TopicId) -> Result<bool, MetastoreError> {
        let mut transaction = self.pool.begin().await?;
        let number: Option<i32> = sqlx::query_scalar(
            "UPDATE topics SET deleted_at_ms = (extract(epoch FROM now()) * 1000)::int8
             WHERE topic_id = $1 AND deleted_at_ms IS NULL RETURNING topic_number",
        )
        .bind(id.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(number) = number else {
            return Ok(false);
        };
        // Locked in the commit's order first: a DELETE alone takes its locks in whatever order it meets the rows.
        for statement in [
            "SELECT partition_index FROM partitions WHERE topic_number = $1 ORDER BY partition_index FOR UPDATE",
            "DELETE FROM partitions WHERE topic_number = $1",
        ] {
            sqlx::query(statement).bind(number).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

fn in_the_way(name: &TopicName, found: Option<&TopicInfo>) -> Option<TopicCreation> {
    let found = found?.clone();
    Some(if found.name == *name {
        TopicCreation::AlreadyExists(found)
    } else {
        TopicCreation::Collides(found)
    })
}

/// What Kafka's metrics make of a topic's name (`Topic.unifyCollisionChars`); the index `topics_live_metric_name` too.
fn metric_name(name: &TopicName) -> String {
    name.as_str().replace('.', "_")
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
