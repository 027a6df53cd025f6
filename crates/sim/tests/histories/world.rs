//! Agents' writers and the function over one bucket and one metastore in memory, under virtual time. Every party sees
//! the bucket through a [`View`] of its own.

use std::sync::Arc;
use std::time::Duration;

use agent::config::CommitPath;
use agent::hints::CommitSignal;
use agent::produce::ack::{AckLevel, BatchAck, PendingAck};
use agent::produce::buffer::{Entry, SealRules};
use agent::produce::commit_watcher::CommitWatcher;
use agent::produce::leave::Streams;
use agent::produce::object::tombstone;
use agent::produce::writer::{WriterDeps, WriterHandle, WriterStop, start};
use bytes::{Bytes, BytesMut};
use commit::BatchOutcome;
use daemon::{Readiness, Tasks};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchDecoder,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use materializer_fn::{Context, Graces, handler};
use metastore::memory::{Calm, MemoryMetastore};
use metastore::{
    Committer, Metastore, NewTopic, PlannedPartition, StreamProgress, TopicInfo, TopicSettings, WantedRange,
};
use object_format::{slot_key, stream_prefix};
use record_batch::BatchHeader;
use serde_json::json;
use storage::{GetRange, MemoryStore, ObjectStore, PutOutcome};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::{
    ClusterId, ContentId, Entropy, NodeId, ObjectKey, Offset, PartitionIndex, SeededEntropy, Slot, SlotSeq, StreamId,
    TopicName,
};
use uuid::Uuid;

use crate::clock::VirtualClock;
use crate::scripted::View;

const CLUSTER: ClusterId = ClusterId(Uuid::from_u128(7));
/// How long a dead stream must stand still.
const GRACE: Duration = Duration::from_secs(10);
/// Virtual, so that a test that waits in vain ends at once.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) bucket: Arc<MemoryStore>,
    pub(crate) metastore: Metastore,
    /// The function's bucket.
    pub(crate) view: Arc<View>,
    function: Context,
    clock: VirtualClock,
    entropy: Arc<dyn Entropy>,
    cluster: ClusterId,
    topic: TopicInfo,
}

/// One agent's writer.
pub(crate) struct Agent {
    pub(crate) view: Arc<View>,
    writer: WriterHandle,
    stream: watch::Receiver<Option<StreamId>>,
    tasks: Tasks,
    topic: TopicInfo,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = VirtualClock::start();
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let metastore = MemoryMetastore::new(CLUSTER, Arc::new(clock)).connect(Arc::new(Calm));
        let bucket = Arc::new(MemoryStore::new());
        let view = View::of(Arc::clone(&bucket), metastore.clone());
        let name = TopicName::new("events").unwrap();
        let new = NewTopic {
            name: name.clone(),
            partition_count: 1,
            settings: TopicSettings::default(),
        };
        metastore.create_topics(&[new]).await.unwrap();
        Self {
            topic: metastore.topic_by_name(&name).await.unwrap().unwrap(),
            cluster: CLUSTER,
            function: function(&metastore, &view, clock, &entropy),
            clock,
            entropy,
            bucket,
            metastore,
            view,
        }
    }

    /// An agent without a lease: to the sweep its streams are dead. Only the function commits for it, until it leaves a
    /// stream or stops.
    pub(crate) async fn agent(&self) -> Agent {
        let view = View::of(Arc::clone(&self.bucket), self.metastore.clone());
        let tasks = Tasks::new(CancellationToken::new());
        let (announce, stream) = watch::channel(None);
        let deps = self.writer_deps(&view, &tasks, announce);
        let (writer, task) = start(deps, tasks.shutdown().clone()).await;
        tasks.spawn_core("writer", task);
        Agent {
            view,
            writer,
            stream,
            tasks,
            topic: self.topic.clone(),
        }
    }

    fn writer_deps(&self, view: &Arc<View>, tasks: &Tasks, announce: watch::Sender<Option<StreamId>>) -> WriterDeps {
        let committer = Committer::new(self.metastore.clone(), view.clone(), self.cluster);
        WriterDeps {
            streams: Streams {
                metastore: self.metastore.clone(),
                store: view.clone(),
                committer: committer.clone(),
                node: NodeId(0),
                announce,
                condition: Readiness::new().condition("stream"),
                stuck: watch::Sender::new(false),
                clock: Arc::new(self.clock),
                entropy: Arc::clone(&self.entropy),
            },
            store: view.clone(),
            cluster: self.cluster,
            rules: SealRules {
                bytes: 1 << 20,
                interval: Duration::from_millis(1),
                linger: Duration::ZERO,
            },
            uploads_max: 4,
            watcher: CommitWatcher {
                path: CommitPath::Event,
                committer,
                metastore: self.metastore.clone(),
                function: None,
                stall: None,
                interval: Duration::from_millis(10),
                batches_max: 1000,
                signal: CommitSignal::default(),
                costs: Arc::default(),
                entropy: Arc::clone(&self.entropy),
                tasks: tasks.clone(),
            },
            stop: WriterStop {
                settle: PATIENCE,
                end_stream: PATIENCE,
            },
            push: None,
            costs: Arc::default(),
            tasks: tasks.clone(),
        }
    }

    /// The function is told that `seq` of `stream` was written.
    pub(crate) async fn event(&self, stream: StreamId, seq: u64) {
        let key = slot_key(slot(stream, seq));
        let recorded = include_str!("../../../../materializer-fn/fixtures/s3_notification.json");
        let mut event: serde_json::Value = serde_json::from_str(recorded).unwrap();
        event["Records"][0]["s3"]["object"]["key"] = key.as_str().into();
        self.invoke(event).await;
    }

    /// One pass of the sweep, a grace period after whatever was before.
    pub(crate) async fn sweep(&self) {
        sleep(GRACE + Duration::from_secs(1)).await;
        self.invoke(json!({"yaks": "sweep/1"})).await;
    }

    async fn invoke(&self, payload: serde_json::Value) {
        let deadline = Instant::now() + PATIENCE;
        handler::handle(&self.function, payload, deadline).await.unwrap();
    }

    /// A tombstone in S3 that the row does not know yet: of a sweep that died between the two.
    pub(crate) async fn tombstone_in_s3_only(&self, stream: StreamId, seq: u64) {
        let object = tombstone(self.cluster, slot(stream, seq), ContentId(Uuid::from_u128(99)));
        let key = slot_key(slot(stream, seq));
        let put = self.bucket.put_if_absent(&key, object.bytes).await;
        assert_eq!(put.unwrap(), PutOutcome::Created);
    }

    pub(crate) async fn row(&self, stream: StreamId) -> StreamProgress {
        let progress = self.metastore.stream_progress(stream, SlotSeq(0), 1000).await;
        progress
            .unwrap()
            .expect("a stream's row stays for as long as the cluster lives")
    }

    /// Keys of `stream` in the bucket, by their slot.
    pub(crate) async fn slots_in_s3(&self, stream: StreamId) -> Vec<u64> {
        let listed = self.bucket.list(&stream_prefix(stream), None).await.unwrap();
        let seq = |key: &ObjectKey| object_format::parse_slot_key(key.as_str()).unwrap().seq.0;
        listed.iter().map(|object| seq(&object.key)).collect()
    }

    pub(crate) async fn object(&self, stream: StreamId, seq: u64) -> Bytes {
        let got = self.bucket.get(&slot_key(slot(stream, seq)), GetRange::Full).await;
        got.unwrap().bytes
    }

    async fn plan(&self) -> PlannedPartition {
        let wanted = WantedRange {
            topic: self.topic.number,
            partition: PartitionIndex(0),
            from: Offset(0),
            bytes_max: u64::MAX,
            rows_max: 64,
        };
        let planned = self.metastore.plan_fetch(&[wanted]).await.unwrap();
        planned[0].clone().unwrap()
    }

    /// How many records are in the log.
    pub(crate) async fn end_of_log(&self) -> i64 {
        self.plan().await.end.0
    }

    /// The values a reader finds, in the order of their offsets, which are checked to have no gap.
    pub(crate) async fn log(&self) -> Vec<String> {
        let planned = self.plan().await;
        let mut values = Vec::new();
        for range in planned.ranges {
            assert_eq!(range.base_offset.0, values.len() as i64, "offsets have no gap");
            let got = self.bucket.get(&range.key, GetRange::Bytes(range.range)).await.unwrap();
            values.extend(values_of(got.bytes));
            assert_eq!(
                range.next_offset.0,
                values.len() as i64,
                "a row says how many records it holds"
            );
        }
        assert_eq!(planned.end.0, values.len() as i64);
        values
    }
}

impl Agent {
    /// The stream it has open.
    pub(crate) fn stream(&self) -> StreamId {
        self.stream
            .borrow()
            .expect("the writer opens a stream before it starts")
    }

    /// Returns once it has opened another stream than `left`.
    pub(crate) async fn left(&mut self, left: StreamId) -> StreamId {
        let opened = self.stream.wait_for(|stream| *stream != Some(left));
        let opened = timeout(PATIENCE, opened).await.expect("a new stream is opened");
        opened.unwrap().expect("there is always one")
    }

    /// One batch of one record, in an object of its own; the receiver hears what became of it.
    pub(crate) async fn append(&self, value: &str, level: AckLevel) -> Told {
        let bytes = batch(value);
        let (ack, told) = PendingAck::new(level);
        let entry = Entry {
            topic: self.topic.id,
            topic_name: self.topic.name.clone(),
            partition: PartitionIndex(0),
            header: BatchHeader::read(&bytes).unwrap(),
            bytes,
            ack,
            permit: None,
            trace: None,
        };
        self.writer.append(vec![entry]).await.unwrap();
        // Longer than the interval: the next one has a slot of its own.
        sleep(Duration::from_millis(5)).await;
        Told(told)
    }

    /// Everything in it is committed by itself and its stream is ended.
    pub(crate) async fn stop(self) {
        self.tasks.stop(PATIENCE).await.unwrap();
    }
}

/// The promise made to a producer.
pub(crate) struct Told(oneshot::Receiver<BatchAck>);

impl Told {
    pub(crate) async fn says_durable(self) {
        assert_eq!(self.heard().await, BatchAck::Durable);
    }

    pub(crate) async fn says_committed_at(self, offset: i64) {
        let appended = BatchAck::Committed(BatchOutcome::Appended(Offset(offset)));
        assert_eq!(self.heard().await, appended);
    }

    /// Nothing was said for a good while.
    pub(crate) async fn says_nothing(&mut self) {
        let waited = timeout(Duration::from_millis(500), &mut self.0).await;
        assert!(waited.is_err(), "acked too early: {waited:?}");
    }

    async fn heard(self) -> BatchAck {
        let told = timeout(PATIENCE, self.0).await.expect("an ack comes");
        told.expect("the writer tells")
    }
}

pub(crate) fn slot(stream: StreamId, seq: u64) -> Slot {
    Slot {
        stream,
        seq: SlotSeq(seq),
    }
}

fn function(metastore: &Metastore, view: &Arc<View>, clock: VirtualClock, entropy: &Arc<dyn Entropy>) -> Context {
    let graces = Graces {
        stream_ms: i64::try_from(GRACE.as_millis()).unwrap(),
        orphan_ms: 86_400_000,
    };
    Context::new(metastore.clone(), view.clone(), graces).with_nature(Arc::new(clock), Arc::clone(entropy))
}

fn batch(value: &str) -> Bytes {
    let record = Record {
        delete_horizon: false,
        transactional: false,
        control: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
        timestamp: 1,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: IndexMap::new(),
    };
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, [&record], &options).unwrap();
    bytes.freeze()
}

fn values_of(mut bytes: Bytes) -> Vec<String> {
    let text = |record: Record| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    let sets = RecordBatchDecoder::decode_all(&mut bytes).unwrap();
    sets.into_iter().flat_map(|set| set.records).map(text).collect()
}
