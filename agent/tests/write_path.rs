//! The writer with a real Postgres and an S3 in memory: what a producer is told, and what becomes of its batches when
//! a slot is lost or an event never comes.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use agent::config::CommitPath;
use agent::hints::CommitSignal;
use agent::produce::ack::{AckLevel, BatchAck, PendingAck};
use agent::produce::buffer::{Entry, SealRules};
use agent::produce::commit_watcher::CommitWatcher;
use agent::produce::invoke::CommitFunction;
use agent::produce::leave::Streams;
use agent::produce::object::{seal, tombstone};
use agent::produce::writer::{WriterDeps, WriterHandle, WriterStop, start};
use async_trait::async_trait;
use bytes::Bytes;
use commit::BatchOutcome;
use commit::invoke::{CommitRequest, CommitResponse};
use daemon::{Readiness, Tasks};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};
use metastore::{Committer, NewTopic, TopicInfo, TopicSettings, WantedRange};
use object_format::slot_key;
use record_batch::BatchHeader;
use storage::{MemoryStore, ObjectStore};
use support::TestAgent;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use types::{
    ContentId, NodeId, Offset, PartitionIndex, Slot, SlotSeq, StreamId, SystemClock, SystemEntropy, TopicName,
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

/// A writer of its own, beside a test agent's Postgres.
struct World {
    agent: TestAgent,
    topic: TopicInfo,
    store: Arc<MemoryStore>,
    writer: WriterHandle,
    stream: watch::Receiver<Option<StreamId>>,
    tasks: Tasks,
}

impl World {
    async fn start(path: CommitPath, stall: Option<Duration>) -> Self {
        Self::start_with(path, stall, None).await
    }

    async fn start_with(path: CommitPath, stall: Option<Duration>, function: Option<Arc<dyn CommitFunction>>) -> Self {
        let agent = TestAgent::start().await;
        let metastore = agent.broker.metastore.clone();
        let name = TopicName::new("events").unwrap();
        let new = NewTopic {
            name: name.clone(),
            partition_count: 1,
            settings: TopicSettings::default(),
        };
        metastore.create_topics(&[new]).await.unwrap();
        let topic = agent.broker.cluster.find_topic_by_name(&name).await.unwrap().unwrap();
        let store = Arc::new(MemoryStore::new());
        let cluster = agent.broker.cluster.cluster_id();
        let committer = Committer::new(metastore.clone(), store.clone(), cluster);
        let tasks = Tasks::new(CancellationToken::new());
        let (announce, stream) = watch::channel(None);
        let deps = WriterDeps {
            streams: Streams {
                metastore: metastore.clone(),
                store: store.clone(),
                committer: committer.clone(),
                node: NodeId(0),
                announce,
                condition: Readiness::new().condition("stream"),
                stuck: watch::Sender::new(false),
                clock: Arc::new(SystemClock),
                entropy: Arc::new(SystemEntropy),
            },
            store: store.clone(),
            cluster,
            rules: SealRules {
                bytes: 1 << 20,
                interval: Duration::from_millis(1),
                linger: Duration::ZERO,
            },
            uploads_max: 4,
            watcher: CommitWatcher {
                path,
                committer,
                metastore,
                function,
                stall,
                interval: Duration::from_millis(10),
                batches_max: 1000,
                signal: CommitSignal::default(),
                costs: Arc::default(),
                entropy: Arc::new(SystemEntropy),
                tasks: tasks.clone(),
            },
            push: None,
            costs: Arc::default(),
            stop: WriterStop {
                settle: PATIENCE,
                end_stream: PATIENCE,
            },
            tasks: tasks.clone(),
        };
        let (writer, task) = start(deps, tasks.shutdown().clone()).await;
        tasks.spawn_core("writer", task);
        Self {
            topic: topic.as_ref().clone(),
            agent,
            store,
            writer,
            stream,
            tasks,
        }
    }

    fn stream(&self) -> StreamId {
        self.stream
            .borrow()
            .expect("the writer opens a stream before it starts")
    }

    /// Hands one batch of one record over; the receiver hears what became of it.
    async fn append(&self, value: &str, level: AckLevel) -> oneshot::Receiver<BatchAck> {
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
        told
    }

    /// Takes a slot away from the writer, as the sweep would.
    async fn take_slot(&self, seq: u64) {
        let slot = Slot {
            stream: self.stream(),
            seq: SlotSeq(seq),
        };
        let object = tombstone(self.agent.broker.cluster.cluster_id(), slot, ContentId(Uuid::new_v4()));
        self.store.put_if_absent(&slot_key(slot), object.bytes).await.unwrap();
    }

    /// How many records are readable.
    async fn end(&self) -> Offset {
        let partition = PartitionIndex(0);
        let wanted = WantedRange {
            topic: self.topic.number,
            partition,
            from: Offset(0),
            bytes_max: u64::MAX,
            rows_max: 64,
        };
        let planned = self.agent.broker.metastore.plan_fetch(&[wanted]).await.unwrap();
        planned[0].as_ref().unwrap().end
    }
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
    let mut bytes = bytes::BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, [&record], &options).unwrap();
    bytes.freeze()
}

async fn heard(told: oneshot::Receiver<BatchAck>) -> BatchAck {
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("an ack comes in time")
        .expect("the writer tells")
}

fn appended(offset: i64) -> BatchAck {
    BatchAck::Committed(BatchOutcome::Appended(Offset(offset)))
}

#[tokio::test]
async fn a_durable_ack_comes_before_the_commit_and_a_committed_one_does_not() {
    let world = World::start(CommitPath::Event, None).await;
    let durable = world.append("one", AckLevel::Durable).await;
    let mut committed = world.append("two", AckLevel::Committed).await;
    assert_eq!(heard(durable).await, BatchAck::Durable);
    assert_eq!(
        world.end().await,
        Offset(0),
        "nothing is committed: there is no function here"
    );
    assert!(committed.try_recv().is_err());
}

#[tokio::test]
async fn a_slot_whose_event_never_comes_is_committed_by_the_stall_rule() {
    let world = World::start(CommitPath::Event, Some(Duration::from_millis(200))).await;
    let told = world.append("one", AckLevel::Committed).await;
    assert_eq!(heard(told).await, appended(0));
    assert_eq!(world.end().await, Offset(1));
}

/// Takes invocations and answers none.
#[derive(Debug)]
struct HangingFunction;

#[async_trait]
impl CommitFunction for HangingFunction {
    async fn invoke(&self, _: &CommitRequest) -> anyhow::Result<CommitResponse> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn while_the_function_hangs_the_stall_rule_commits_and_a_stop_does() {
    let hanging = || Some(Arc::new(HangingFunction) as Arc<dyn CommitFunction>);
    let stall = Some(Duration::from_millis(200));
    let world = World::start_with(CommitPath::Invoke, stall, hanging()).await;
    for n in 0..3 {
        let told = world.append("late", AckLevel::Committed).await;
        assert_eq!(heard(told).await, appended(n));
    }
    let world = World::start_with(CommitPath::Invoke, None, hanging()).await;
    let told = world.append("last", AckLevel::Committed).await;
    world.tasks.stop(PATIENCE).await.unwrap();
    assert_eq!(heard(told).await, appended(0));
}

#[tokio::test]
async fn batches_that_lost_their_slot_commit_once_and_in_order_on_a_new_stream() {
    let world = World::start(CommitPath::Inline, None).await;
    assert_eq!(heard(world.append("one", AckLevel::Committed).await).await, appended(0));
    let first_stream = world.stream();
    world.take_slot(1).await;
    let two = world.append("two", AckLevel::Committed).await;
    let three = world.append("three", AckLevel::Durable).await;
    let four = world.append("four", AckLevel::Committed).await;
    assert_eq!(heard(two).await, appended(1));
    assert_eq!(heard(three).await, BatchAck::Durable);
    assert_eq!(heard(four).await, appended(3));
    assert_eq!(world.end().await, Offset(4));
    assert_ne!(world.stream(), first_stream);
    let left = world
        .agent
        .broker
        .metastore
        .stream_progress(first_stream, SlotSeq(0), 100)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        left.end_seq,
        Some(SlotSeq(1)),
        "the stream that was left has its end in its row"
    );
}

#[tokio::test]
async fn what_lost_its_slot_to_somebody_elses_data_is_never_acked_for_them() {
    let world = World::start(CommitPath::Inline, None).await;
    let bytes = batch("strangers");
    let mut entries = [Entry {
        topic: world.topic.id,
        topic_name: world.topic.name.clone(),
        partition: PartitionIndex(0),
        header: BatchHeader::read(&bytes).unwrap(),
        bytes,
        ack: PendingAck::new(AckLevel::Durable).0,
        permit: None,
        trace: None,
    }];
    let slot = Slot {
        stream: world.stream(),
        seq: SlotSeq(0),
    };
    let cluster = world.agent.broker.cluster.cluster_id();
    let theirs = seal(&mut entries, cluster, slot, ContentId(Uuid::new_v4()), None);
    world.store.put_if_absent(&slot_key(slot), theirs.bytes).await.unwrap();

    let one = world.append("one", AckLevel::Committed).await;
    let told = tokio::time::timeout(PATIENCE, one).await.expect("told in time");
    assert!(told.is_err(), "told to send it again: {told:?}");
    assert_eq!(heard(world.append("two", AckLevel::Committed).await).await, appended(1));
}

#[tokio::test]
async fn nothing_past_a_lost_slot_is_acked_before_the_lost_stream_is_settled() {
    let world = World::start(CommitPath::Inline, None).await;
    world.take_slot(0).await;
    // Both are in flight when the first slot turns out to be lost; the second may land past the end, as an orphan.
    let one = world.append("one", AckLevel::Durable).await;
    let two = world.append("two", AckLevel::Committed).await;
    assert_eq!(heard(one).await, BatchAck::Durable);
    assert_eq!(heard(two).await, appended(1));
    assert_eq!(world.end().await, Offset(2), "what landed past the end never commits");
}

#[tokio::test]
async fn a_stop_commits_everything_itself_and_ends_the_stream() {
    // No function, no stall rule: nobody but the stop commits.
    let world = World::start(CommitPath::Event, None).await;
    let mut told = Vec::new();
    for n in 0..20 {
        told.push(world.append(&n.to_string(), AckLevel::Committed).await);
    }
    world.tasks.stop(PATIENCE).await.unwrap();
    for (n, told) in told.into_iter().enumerate() {
        assert_eq!(heard(told).await, appended(n as i64));
    }
    let metastore = &world.agent.broker.metastore;
    let progress = metastore
        .stream_progress(world.stream(), SlotSeq(0), 100)
        .await
        .unwrap()
        .unwrap();
    assert!(progress.end_seq.is_some());
}
