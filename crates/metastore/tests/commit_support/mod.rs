//! A cluster of one test: a migrated database of its own, a bucket in memory, and objects whose records can be told
//! apart. Used by the tests of the function too.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use commit::invoke::SlotResult;
use commit::{BatchOutcome, SlotFooter};
use metastore::{
    Committer, DbAuth, Metastore, NewTopic, PlannedPartition, PostgresConfig, SslMode, TopicCreation, TopicInfo,
    TopicSettings, WantedRange,
};
use object_format::{Footer, FooterBatch, FooterTopic, Kind, Tags, encode_tail, slot_key};
use private_postgres::PrivatePostgres;
use storage::{GetRange, MemoryStore, ObjectStore, PutOutcome};
use types::{
    ByteRange, ClusterId, ContentId, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot,
    SlotSeq, StreamId, TimestampMs, TopicName,
};
use uuid::Uuid;

/// Bytes of one record: a number that no other record of the process has.
const RECORD_BYTES: u64 = 8;

/// More bytes than any test writes.
const EVERYTHING: u64 = 1 << 40;

/// Database, bucket and committer of one test.
pub(crate) struct Cluster {
    postgres: Option<PostgresConfig>,
    pub(crate) metastore: Metastore,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) id: ClusterId,
    pub(crate) committer: Committer,
}

/// A batch of a test, with as much of a Kafka batch as the commit looks at.
#[derive(Clone, Debug)]
pub(crate) struct TestBatch {
    topic: TopicInfo,
    partition: i32,
    records: Vec<u64>,
    timestamp: i64,
    producer: (i64, i16, i32),
}

impl TestBatch {
    pub(crate) fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// Of an idempotent producer.
    pub(crate) fn of(mut self, producer: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (producer, epoch, sequence);
        self
    }

    pub(crate) fn records(&self) -> &[u64] {
        &self.records
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }
}

/// `count` new records for one partition.
pub(crate) fn batch(topic: &TopicInfo, partition: i32, count: u64) -> TestBatch {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = NEXT.fetch_add(count, Ordering::SeqCst);
    TestBatch {
        topic: topic.clone(),
        partition,
        records: (first..first + count).collect(),
        timestamp: 0,
        producer: (-1, -1, -1),
    }
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let server = PrivatePostgres::shared();
        let postgres = PostgresConfig {
            host: server.host().to_owned(),
            port: server.port(),
            user: server.user().to_owned(),
            auth: DbAuth::Password,
            password: server.password().expose().into(),
            name: server.create_fresh_database().expect("a database of this test's own"),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: String::new(),
            pool_size: 8,
        };
        let metastore = Metastore::new(&postgres);
        metastore.migrate().await.expect("the migrations apply");
        Self {
            postgres: Some(postgres),
            ..Self::over(metastore).await
        }
    }

    /// Over a metastore made elsewhere.
    pub(crate) async fn over(metastore: Metastore) -> Self {
        let id = metastore.cluster_id().await.expect("a cluster id");
        let store = Arc::new(MemoryStore::new());
        let committer = Committer::new(metastore.clone(), store.clone(), id);
        Self {
            postgres: None,
            metastore,
            store,
            id,
            committer,
        }
    }

    /// How its Postgres is reached.
    pub(crate) fn postgres(&self) -> &PostgresConfig {
        self.postgres.as_ref().expect("this cluster is on Postgres")
    }

    /// Of the database, for a connection beside those of the metastore.
    pub(crate) fn url(&self) -> String {
        let PostgresConfig {
            host,
            port,
            user,
            password,
            name,
            ..
        } = self.postgres();
        format!("postgres://{user}:{}@{host}:{port}/{name}", password.reveal())
    }

    pub(crate) async fn topic(&self, name: &str, partition_count: i32) -> TopicInfo {
        let new = NewTopic {
            name: TopicName::new(name).expect("a legal name"),
            partition_count,
            settings: TopicSettings::default(),
        };
        let created = self.metastore.create_topics(&[new]).await.expect("Postgres answers");
        match created.into_iter().next() {
            Some(TopicCreation::Created(topic)) => topic,
            other => panic!("{other:?}"),
        }
    }

    /// Opens a new stream, of an agent without a lease.
    pub(crate) async fn stream(&self) -> StreamId {
        let stream = StreamId(Uuid::now_v7());
        self.metastore
            .open_stream(stream, NodeId(0))
            .await
            .expect("Postgres answers");
        stream
    }

    /// Commits slots that need not be in S3.
    pub(crate) async fn commit(&self, slots: Vec<SlotFooter>) {
        self.committer.commit(slots).await.expect("Postgres answers");
    }

    /// Commits one slot that is not in S3 and must commit at once.
    pub(crate) async fn outcomes(&self, slot: Slot, batches: &[TestBatch]) -> Vec<BatchOutcome> {
        self.put(slot, batches).await;
        let footer = self
            .committer
            .read_footer(slot)
            .await
            .expect("the metastore answers")
            .expect("the metastore answers");
        match self.commit_one(footer).await {
            SlotResult::Committed(outcomes) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn commit_one(&self, footer: SlotFooter) -> SlotResult {
        let slot = footer.slot();
        let mut results = self
            .committer
            .commit(vec![footer])
            .await
            .expect("the metastore answers");
        results.remove(&slot).expect("the metastore answers")
    }

    pub(crate) async fn gate(&self, stream: StreamId) -> u64 {
        let from = SlotSeq(0);
        let progress = self
            .metastore
            .stream_progress(stream, from, 0)
            .await
            .expect("the metastore answers");
        progress.expect("the metastore answers").next_seq.0
    }

    pub(crate) fn footer(&self, slot: Slot, batches: &[TestBatch]) -> SlotFooter {
        seal(self.id, slot, Kind::Data, batches).1
    }

    pub(crate) fn tombstone(&self, slot: Slot) -> SlotFooter {
        seal(self.id, slot, Kind::Tombstone, &[]).1
    }

    /// PUTs an object into a free slot.
    pub(crate) async fn put(&self, slot: Slot, batches: &[TestBatch]) -> SlotFooter {
        let (body, footer) = seal(self.id, slot, Kind::Data, batches);
        self.put_bytes(slot, body).await;
        footer
    }

    pub(crate) async fn put_bytes(&self, slot: Slot, body: Bytes) {
        let put = self.store.put_if_absent(&slot_key(slot), body).await;
        assert_eq!(put.expect("memory does not fail"), PutOutcome::Created);
    }

    /// The plan for all of a partition.
    pub(crate) async fn plan(&self, topic: &TopicInfo, partition: i32) -> PlannedPartition {
        let wanted = WantedRange {
            topic: topic.number,
            partition: PartitionIndex(partition),
            from: Offset(0),
            bytes_max: EVERYTHING,
            rows_max: 64,
        };
        let mut plans = self.metastore.plan_fetch(&[wanted]).await.expect("Postgres answers");
        plans.remove(0).expect("the partition is there")
    }

    /// All records of a partition as a reader sees them, by way of index and objects; their offsets are their places.
    pub(crate) async fn log(&self, topic: &TopicInfo, partition: i32) -> Vec<u64> {
        let mut records = Vec::new();
        loop {
            let from = Offset(records.len() as i64);
            let wanted = WantedRange {
                topic: topic.number,
                partition: PartitionIndex(partition),
                from,
                bytes_max: EVERYTHING,
                rows_max: 64,
            };
            let plan = self.metastore.plan_fetch(&[wanted]).await.expect("Postgres answers");
            let plan = plan.into_iter().next().flatten().expect("the partition is there");
            if plan.ranges.is_empty() {
                assert_eq!(plan.end, from, "the index ends where the partition does");
                return records;
            }
            for range in plan.ranges {
                assert_eq!(range.base_offset.0, records.len() as i64, "offsets have no gap");
                let got = self.store.get(&range.key, GetRange::Bytes(range.range)).await;
                let bytes = got.expect("the object is there").bytes;
                records.extend(
                    bytes
                        .chunks(RECORD_BYTES as usize)
                        .map(|record| u64::from_be_bytes(record.try_into().expect("whole records"))),
                );
                assert_eq!(range.next_offset.0, records.len() as i64, "a row holds its offsets");
            }
        }
    }
}

pub(crate) fn slot(stream: StreamId, seq: u64) -> Slot {
    Slot {
        stream,
        seq: SlotSeq(seq),
    }
}

/// The records of `batches` for one partition, in order.
pub(crate) fn records_of(batches: &[TestBatch], partition: i32) -> Vec<u64> {
    let of_partition = batches.iter().filter(|batch| batch.partition == partition);
    of_partition.flat_map(|batch| batch.records.clone()).collect()
}

/// An object and its footer. The batches lie in the order given.
pub(crate) fn seal(cluster: ClusterId, slot: Slot, kind: Kind, batches: &[TestBatch]) -> (Bytes, SlotFooter) {
    let mut body = BytesMut::new();
    let mut topics: BTreeMap<_, u32> = BTreeMap::new();
    let mut footer = Footer {
        kind,
        required_features: 0,
        optional_features: 0,
        cluster,
        slot,
        content: ContentId(Uuid::new_v4()),
        topics: Vec::new(),
        batches: Vec::new(),
        tags: Tags::new(),
    };
    for batch in batches {
        let topic = *topics.entry(batch.topic.id).or_insert_with(|| {
            footer.topics.push(FooterTopic {
                id: batch.topic.id,
                name: batch.topic.name.clone(),
                tags: Tags::new(),
            });
            footer.topics.len() as u32 - 1
        });
        footer.batches.push(footer_batch(batch, topic, body.len() as u64));
        batch.records.iter().for_each(|record| body.put_u64(*record));
    }
    let tail = encode_tail(&footer).expect("a legal footer");
    body.extend_from_slice(&tail);
    let slot_footer = SlotFooter {
        footer: footer.into(),
        tail,
        object_bytes: body.len() as u64,
    };
    (body.freeze(), slot_footer)
}

fn footer_batch(batch: &TestBatch, topic: u32, start: u64) -> FooterBatch {
    let count = batch.records.len() as i32;
    let (producer, epoch, sequence) = batch.producer;
    FooterBatch {
        topic,
        partition: PartitionIndex(batch.partition),
        range: ByteRange {
            start,
            end: start + batch.records.len() as u64 * RECORD_BYTES,
        },
        crc: 0,
        attributes: 0,
        record_count: count,
        last_offset_delta: count - 1,
        base_timestamp: TimestampMs(batch.timestamp),
        max_timestamp: TimestampMs(batch.timestamp),
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        base_offset: Offset::UNKNOWN,
        tags: Tags::new(),
    }
}

/// A call that dies in the middle: it is dropped after so many polls, at once or when next it could go on.
pub(crate) struct CutOff<F> {
    call: Pin<Box<F>>,
    polls: u32,
    at_once: bool,
}

impl<F> CutOff<F> {
    pub(crate) fn new(call: F, polls: u32, at_once: bool) -> Self {
        Self {
            call: Box::pin(call),
            polls,
            at_once,
        }
    }
}

impl<F: Future> Future for CutOff<F> {
    /// `None`: it did not get to its end.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.call.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.polls == 0 && self.at_once => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
