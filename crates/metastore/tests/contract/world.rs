//! A metastore under test, with its bucket and its time.

use std::ops::Deref;
use std::sync::Arc;

use metastore::memory::{Calm, MemoryMetastore};
use metastore::{Metastore, NewTopic, TopicCreation, TopicInfo, TopicSettings};
use sqlx::PgPool;
use types::{ClusterId, ManualClock, TimestampMs, TopicName};
use uuid::Uuid;

use crate::cluster::Cluster;

/// A cluster, and the way to let time pass in it.
pub(crate) struct World {
    cluster: Cluster,
    time: Time,
}

enum Time {
    Postgres(PgPool),
    Memory(Arc<ManualClock>),
}

impl Deref for World {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl World {
    pub(crate) async fn on_postgres() -> Self {
        let cluster = Cluster::new().await;
        let raw = PgPool::connect(&cluster.url()).await.expect("Postgres answers");
        Self {
            cluster,
            time: Time::Postgres(raw),
        }
    }

    pub(crate) async fn in_memory() -> Self {
        let clock = Arc::new(ManualClock::new(TimestampMs(1_000_000)));
        let database = MemoryMetastore::new(ClusterId(Uuid::from_u128(7)), Arc::clone(&clock) as _);
        Self {
            cluster: Cluster::over(database.connect(Arc::new(Calm))).await,
            time: Time::Memory(clock),
        }
    }

    /// Lets so many ms pass. Postgres's clock cannot be moved, so there everything moves into the past.
    pub(crate) async fn pass_ms(&self, ms: i32) {
        let raw = match &self.time {
            Time::Memory(clock) => return clock.advance_ms(i64::from(ms)),
            Time::Postgres(raw) => raw,
        };
        for statement in [
            "UPDATE streams SET opened_at = opened_at - $1 * interval '1 ms', swept_at = swept_at - $1 * interval '1 ms'",
            "UPDATE agents SET lease_expires_at = lease_expires_at - $1 * interval '1 ms'",
            "UPDATE objects SET committed_at = committed_at - $1 * interval '1 ms'",
            "UPDATE pending_slots SET kept_at = kept_at - $1 * interval '1 ms'",
            "UPDATE orphans SET found_at = found_at - $1 * interval '1 ms'",
            "UPDATE group_offsets SET committed_at = committed_at - $1 * interval '1 ms'",
            "UPDATE consumer_groups SET empty_since = empty_since - $1 * interval '1 ms'",
            "UPDATE producer_state SET updated_at_ms = updated_at_ms - $1",
        ] {
            sqlx::query(statement)
                .bind(ms)
                .execute(raw)
                .await
                .expect("Postgres answers");
        }
    }
}

/// A topic's name.
pub(crate) fn name(name: &str) -> TopicName {
    TopicName::new(name).expect("a legal name")
}

/// Creates one topic without settings.
pub(crate) async fn topic(metastore: &Metastore, name: &str, partition_count: i32) -> TopicInfo {
    let new = NewTopic {
        name: self::name(name),
        partition_count,
        settings: TopicSettings::default(),
    };
    match metastore.create_topics(&[new]).await.expect("it answers").remove(0) {
        TopicCreation::Created(topic) => topic,
        other => panic!("{other:?}"),
    }
}
