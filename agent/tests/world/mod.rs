//! One cluster in one process: a metastore and a bucket in memory, each with a switch, and agents with clients on pipes.

#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

mod cache;
mod client;
mod pipes;
mod switches;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::config::Config;
use agent::fetch::read::ObjectCache;
use agent::incoming::Accepted;
use agent::listeners::DEFAULT_LISTENER;
use agent::run::{Deps, run};
use bytes::{Bytes, BytesMut};
use clap::Parser;
use daemon::Readiness;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use metastore::memory::MemoryMetastore;
use object_format::{MAGIC, TRAILER_BYTES, slot_key};
use storage::failing::{FailingStore, FaultHandle, Outage};
use storage::{MemoryStore, ObjectStore, PutOutcome};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::{ClusterId, Entropy, SeededEntropy, Slot, SlotSeq, StreamId};
use uuid::Uuid;

pub(crate) use cache::DamagedCache;
pub(crate) use client::{Client, topic_name, values};
pub(crate) use pipes::Pipes;
pub(crate) use switches::{Postgres, VirtualClock};

/// `acks`.
pub(crate) const ALL: i16 = -1;
/// `acks`.
pub(crate) const ONE: i16 = 1;
/// `timeout_ms` of produce requests.
pub(crate) const PRODUCE_TIMEOUT: Duration = Duration::from_secs(30);

/// The cluster's surroundings.
pub(crate) struct World {
    pub(crate) tables: MemoryMetastore,
    pub(crate) postgres: Arc<Postgres>,
    pub(crate) bucket: Arc<MemoryStore>,
    pub(crate) s3: FaultHandle,
    store: Arc<FailingStore>,
    clock: Arc<VirtualClock>,
    entropy: Arc<SeededEntropy>,
    pipes: Arc<Pipes>,
}

/// A running agent; dropping it kills it.
pub(crate) struct Agent {
    clients: mpsc::Sender<Accepted>,
    pub(crate) readiness: Readiness,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(VirtualClock::new());
        let entropy = Arc::new(SeededEntropy::new(1));
        let bucket = Arc::new(MemoryStore::new());
        let store = Arc::new(FailingStore::new(bucket.clone(), entropy.clone()));
        Self {
            tables: MemoryMetastore::new(ClusterId(Uuid::from_u128(7)), clock.clone()),
            postgres: Arc::default(),
            bucket,
            s3: store.faults(),
            store,
            clock,
            entropy,
            pipes: Arc::default(),
        }
    }

    /// An agent that commits its own objects when nobody else does; `args` are more settings.
    pub(crate) async fn agent(&self, args: &[&str]) -> Agent {
        self.agent_with_cache(args, None).await
    }

    /// The same, with a way of its own to Postgres.
    pub(crate) async fn agent_over(&self, postgres: Arc<Postgres>) -> Agent {
        self.start(&[], None, postgres).await
    }

    /// The same, beside a sidecar.
    pub(crate) async fn agent_with_cache(&self, args: &[&str], cache: Option<Arc<dyn ObjectCache>>) -> Agent {
        self.start(args, cache, self.postgres.clone()).await
    }

    async fn start(&self, args: &[&str], cache: Option<Arc<dyn ObjectCache>>, postgres: Arc<Postgres>) -> Agent {
        let ours = [
            "yaks-agent",
            "--node-id=auto",
            "--commit-path=inline",
            "--auto-create-topics=false",
        ];
        let config = Config::try_parse_from(ours.iter().chain(args)).unwrap();
        let (clients, incoming) = mpsc::channel(16);
        let readiness = Readiness::new();
        let deps = Deps {
            metastore: self.tables.connect(postgres),
            store: self.store.clone(),
            cold_store: self.store.clone(),
            cache,
            function: None,
            costs: None,
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(self.entropy.next_u64())),
            dialer: self.pipes.clone(),
            peer_address: self.pipes.publish(clients.clone()),
            incoming: Box::new(incoming),
            readiness: readiness.clone(),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run(config, deps, shutdown.clone()));
        Agent {
            clients,
            readiness,
            shutdown,
            running,
        }
    }

    /// Makes every request to S3 fail, or none.
    pub(crate) fn s3_away(&self, away: bool) {
        self.s3.set_outage(away.then_some(Outage::Refused));
    }
}

impl World {
    /// The one stream there is.
    pub(crate) fn stream(&self) -> StreamId {
        *self
            .tables
            .tables()
            .streams
            .keys()
            .next()
            .expect("an agent has opened it")
    }

    /// Puts an object into a slot of the one stream there is, as nobody should.
    pub(crate) async fn put_into_slot(&self, seq: u64, object: Bytes) -> StreamId {
        let stream = self.stream();
        let slot = Slot {
            stream,
            seq: SlotSeq(seq),
        };
        let put = self.bucket.put_if_absent(&slot_key(slot), object).await.unwrap();
        assert_eq!(put, PutOutcome::Created);
        stream
    }
}

impl World {
    /// Deletes what lies in a slot, as nobody should.
    pub(crate) async fn take_away(&self, stream: StreamId, seq: u64) {
        let slot = Slot {
            stream,
            seq: SlotSeq(seq),
        };
        self.bucket.delete(&slot_key(slot)).await.unwrap();
    }
}

impl Agent {
    /// A client of this agent.
    pub(crate) async fn connect(&self) -> Client {
        self.connect_through(DEFAULT_LISTENER).await
    }

    /// The same, through one of its listeners.
    pub(crate) async fn connect_through(&self, listener: &str) -> Client {
        self.connect_by(listener, 1 << 20).await
    }

    /// The same, over a pipe that holds so many bytes.
    pub(crate) async fn connect_over(&self, pipe_bytes: usize) -> Client {
        self.connect_by(DEFAULT_LISTENER, pipe_bytes).await
    }

    async fn connect_by(&self, listener: &str, pipe_bytes: usize) -> Client {
        let (ours, theirs) = tokio::io::duplex(pipe_bytes);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let accepted = Accepted {
            listener: listener.into(),
            ..Accepted::new(Box::new(theirs), peer)
        };
        assert!(self.clients.send(accepted).await.is_ok(), "the agent serves");
        Client::new(ours)
    }

    /// SIGTERM.
    pub(crate) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// How the agent ended.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.running).await.unwrap()
    }

    /// Waits until the agent is ready, or until it is not.
    pub(crate) async fn until_ready(&self, ready: bool) {
        while self.readiness.is_ready() != ready {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// No object of ours.
pub(crate) fn junk() -> Bytes {
    Bytes::from_static(b"this is a file that somebody mislaid here, and nothing else")
}

/// An object that this build cannot read, but another may.
pub(crate) fn newer_object() -> Bytes {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[8..10].copy_from_slice(&99_u16.to_be_bytes());
    let crc = crc32c::crc32c(&trailer[..12]);
    trailer[12..16].copy_from_slice(&crc.to_be_bytes());
    trailer[16..].copy_from_slice(&MAGIC);
    Bytes::copy_from_slice(&trailer)
}

/// A batch of one record.
pub(crate) fn batch(value: &str) -> Bytes {
    encode(&[record(value.as_bytes().to_vec().into(), -1)])
}

/// A batch of one record of an idempotent producer.
pub(crate) fn idempotent_batch(value: &str, producer: i64, sequence: i32) -> Bytes {
    let mut record = record(value.as_bytes().to_vec().into(), producer);
    (record.producer_epoch, record.sequence) = (0, sequence);
    encode(&[record])
}

/// A batch of records with these timestamps.
pub(crate) fn timed_batch(timestamps: &[i64]) -> Bytes {
    let timed = |(offset, timestamp): (i64, &i64)| Record {
        timestamp: *timestamp,
        offset,
        sequence: i32::try_from(offset).unwrap() - 1,
        ..record(Bytes::from_static(b"timed"), -1)
    };
    encode(&(0..).zip(timestamps).map(timed).collect::<Vec<_>>())
}

/// A batch of one record of so many bytes.
pub(crate) fn large_batch(bytes: usize) -> Bytes {
    encode(&[record(vec![b'x'; bytes].into(), -1)])
}

fn record(value: Bytes, producer_id: i64) -> Record {
    Record {
        delete_horizon: false,
        transactional: false,
        control: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1,
        key: None,
        value: Some(value),
        headers: IndexMap::new(),
    }
}

fn encode(records: &[Record]) -> Bytes {
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, records, &options).unwrap();
    bytes.freeze()
}
