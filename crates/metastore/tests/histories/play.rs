//! Plays a history on Postgres: real committers at once, with their faults.

use std::sync::Arc;

use commit::SlotFooter;
use commit::invoke::SlotResult;
use futures::future::join_all;
use metastore::{CommitError, Committer, Metastore, MetastoreError, NewTopic, TopicCreation, TopicInfo, TopicSettings};
use object_format::{Kind, slot_key};
use sqlx::PgPool;
use storage::{MemoryStore, ObjectStore, PutOutcome};
use tokio::task::yield_now;
use types::{ClusterId, NodeId, Slot, StreamId, TopicName};
use uuid::Uuid;

use crate::cluster::{CutOff, TestBatch, batch, seal, slot};
use crate::history::{EXPIRY_MS, Fault, History, PAUSE_UNIT_MS, Phase, PlannedSlot, Put, Step};
use crate::tally::Tally;

/// A history under way.
pub(crate) struct Play {
    pub(crate) history: History,
    pub(crate) topics: Vec<TopicInfo>,
    pub(crate) streams: Vec<StreamId>,
    /// In the history's order.
    pub(crate) footers: Vec<SlotFooter>,
    bodies: Vec<bytes::Bytes>,
    pub(crate) metastore: Metastore,
    raw: PgPool,
    store: Arc<MemoryStore>,
    committer: Committer,
    tally: Arc<Tally>,
}

/// What committers were told, and where in the order of objects each phase ended.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) results: Vec<(Slot, SlotResult)>,
    /// The last object of each phase, 0 before any, and the units of pause that followed.
    pub(crate) phase_ends: Vec<(i64, i64)>,
}

impl Play {
    pub(crate) async fn set_up(
        history: History,
        cluster: ClusterId,
        metastore: &Metastore,
        raw: &PgPool,
        tally: Arc<Tally>,
    ) -> Self {
        let topics = create_topics(metastore, &history.topics).await;
        let mut streams = Vec::new();
        for _ in 0..history.streams {
            let stream = StreamId(Uuid::now_v7());
            while metastore.open_stream(stream, NodeId(0)).await.is_err() {
                yield_now().await;
            }
            streams.push(stream);
        }
        let sealed = history.slots.iter().map(|planned| {
            let kind = if planned.tombstone { Kind::Tombstone } else { Kind::Data };
            let at = slot(streams[planned.stream], planned.seq);
            seal(cluster, at, kind, &batches(planned, &topics))
        });
        let (bodies, footers): (Vec<_>, Vec<_>) = sealed.unzip();
        let store = Arc::new(MemoryStore::new());
        let committer = Committer::new(metastore.clone(), store.clone(), cluster).with_producer_expiry_ms(EXPIRY_MS);
        Self {
            history,
            topics,
            streams,
            footers,
            bodies,
            metastore: metastore.clone(),
            raw: raw.clone(),
            store,
            committer,
            tally,
        }
    }

    /// Plays all phases, then commits what is left, without faults.
    pub(crate) async fn play(&self) -> Told {
        let mut told = Told::default();
        for (n, planned) in self.history.slots.iter().enumerate() {
            if planned.put == Put::AtStart {
                self.put(n).await;
            }
        }
        for phase in &self.history.phases {
            told.results.extend(self.play_phase(phase).await);
            let last = self.pause(phase.pause_units).await;
            told.phase_ends.push((last, phase.pause_units));
        }
        told.results.extend(self.drain().await);
        told
    }

    async fn play_phase(&self, phase: &Phase) -> Vec<(Slot, SlotResult)> {
        let committers = phase.committers.iter().map(|steps| async move {
            let mut told = Vec::new();
            for step in steps {
                told.extend(self.take_step(step).await);
                yield_now().await;
            }
            told
        });
        let (told, ()) = tokio::join!(join_all(committers), self.kill_connections(phase.kills));
        told.into_iter().flatten().collect()
    }

    async fn take_step(&self, step: &Step) -> Vec<(Slot, SlotResult)> {
        match step {
            Step::Put(n) => {
                self.put(*n).await;
                Vec::new()
            }
            Step::DeleteTopic(n) => {
                self.delete_topic(*n).await;
                Vec::new()
            }
            Step::Deliver { slots, fault } => {
                let footers = slots.iter().map(|n| self.footers[*n].clone()).collect();
                self.deliver(footers, *fault).await
            }
        }
    }

    async fn deliver(&self, footers: Vec<SlotFooter>, fault: Fault) -> Vec<(Slot, SlotResult)> {
        if fault == Fault::AnswerLost {
            let _lost = self.metastore.commit_transaction(&footers, EXPIRY_MS).await;
            self.tally.answers_lost.add(1);
        }
        let commit = self.committer.commit(footers);
        let done = match fault {
            Fault::CutOff { polls, at_once } => match CutOff::new(commit, polls, at_once).await {
                Some(done) => done,
                None => {
                    self.tally.cut_off.add(1);
                    return Vec::new();
                }
            },
            _ => commit.await,
        };
        match done {
            Ok(results) => results.into_iter().collect(),
            Err(CommitError::Metastore(MetastoreError::Unavailable(_))) => {
                self.tally.gave_up.add(1);
                Vec::new()
            }
            Err(error) => panic!("a commit failed: {error}"),
        }
    }

    async fn put(&self, n: usize) {
        let key = slot_key(self.footers[n].slot());
        let put = self.store.put_if_absent(&key, self.bodies[n].clone()).await;
        assert_eq!(put.expect("memory does not fail"), PutOutcome::Created);
    }

    /// Tries until it is done: a connection may be killed under it.
    async fn delete_topic(&self, n: usize) {
        while self.metastore.delete_topic(self.topics[n].id).await.is_err() {
            yield_now().await;
        }
        self.tally.topics_deleted.add(1);
    }

    /// Ends a session that is in a transaction, of whichever history: all must bear it.
    async fn kill_connections(&self, kills: usize) {
        for _ in 0..kills {
            let statement = "SELECT count(pg_terminate_backend(pid)) FROM ( \
                    SELECT pid FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'yaks' AND xact_start IS NOT NULL \
                    ORDER BY xact_start LIMIT 1) victim";
            let killed: i64 = sqlx::query_scalar(statement)
                .fetch_one(&self.raw)
                .await
                .expect("Postgres answers");
            self.tally.killed.add(killed as u64);
        }
    }

    /// Lets producers grow older, once every transaction of this history is over; says which object was the last.
    async fn pause(&self, units: i64) -> i64 {
        let streams: Vec<Uuid> = self.streams.iter().map(|stream| stream.0).collect();
        let mut transaction = self.raw.begin().await.expect("Postgres answers");
        // A committer that was cut off may have sent its COMMIT: it holds its streams until that is done.
        sqlx::query("SELECT 1 FROM streams WHERE stream_id = ANY ($1) ORDER BY stream_id FOR UPDATE")
            .bind(&streams)
            .execute(&mut *transaction)
            .await
            .expect("nobody holds a stream for long");
        let last: i64 =
            sqlx::query_scalar("SELECT coalesce(max(object_id), 0) FROM objects WHERE stream_id = ANY ($1)")
                .bind(&streams)
                .fetch_one(&mut *transaction)
                .await
                .expect("Postgres answers");
        let numbers: Vec<i32> = self.topics.iter().map(|topic| topic.number.0).collect();
        sqlx::query("UPDATE producer_state SET updated_at_ms = updated_at_ms - $1 WHERE topic_number = ANY ($2)")
            .bind(units * PAUSE_UNIT_MS)
            .bind(numbers)
            .execute(&mut *transaction)
            .await
            .expect("Postgres answers");
        transaction.commit().await.expect("Postgres answers");
        last
    }

    /// Delivers what only a delivery can commit, and each stream's last slot: the rest is in the bucket, or pending.
    async fn drain(&self) -> Vec<(Slot, SlotResult)> {
        let mut footers = Vec::new();
        for (n, planned) in self.history.slots.iter().enumerate() {
            let mut later = self.history.slots[n + 1..].iter();
            let is_last = !later.any(|other| other.stream == planned.stream && other.is_reachable());
            if planned.is_reachable() && (planned.put == Put::Never || is_last) {
                footers.push(self.footers[n].clone());
            }
        }
        loop {
            match self.committer.commit(footers.clone()).await {
                Ok(results) => return results.into_iter().collect(),
                Err(CommitError::Metastore(MetastoreError::Unavailable(_))) => {}
                Err(error) => panic!("a commit failed: {error}"),
            }
        }
    }
}

async fn create_topics(metastore: &Metastore, partition_counts: &[i32]) -> Vec<TopicInfo> {
    let new = partition_counts.iter().map(|partition_count| NewTopic {
        name: TopicName::new(&Uuid::new_v4().to_string()).expect("a legal name"),
        partition_count: *partition_count,
        settings: TopicSettings::default(),
    });
    let new: Vec<NewTopic> = new.collect();
    let created = loop {
        // Connections are killed under other histories, and so under us.
        if let Ok(created) = metastore.create_topics(&new).await {
            break created;
        }
    };
    let topics = created.into_iter().map(|created| match created {
        TopicCreation::Created(topic) | TopicCreation::AlreadyExists(topic) => topic,
        TopicCreation::Collides(other) => panic!("{other:?}"),
    });
    topics.collect()
}

fn batches(planned: &PlannedSlot, topics: &[TopicInfo]) -> Vec<TestBatch> {
    let batches = planned.batches.iter().map(|planned| {
        let (producer, epoch, sequence) = planned.producer;
        batch(&topics[planned.topic], planned.partition, planned.count)
            .at(planned.timestamp)
            .of(producer, epoch, sequence)
    });
    batches.collect()
}
