//! What agents and function stand on: one bucket, one metastore, one queue, one clock. Each process has its own way to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metastore::Metastore;
use metastore::memory::MemoryMetastore;
use storage::failing::{FailingStore, FaultHandle};
use storage::{MemoryStore, ObjectStore};
use types::ClusterId;

use crate::bucket::BucketClient;
use crate::climate::{Climate, PostgresWeather};
use crate::clock::VirtualClock;
use crate::events::{EventQueue, TellingBucket};
use crate::plan::Plan;
use crate::process::Process;
use crate::random::Dice;
use crate::scribe::Scribe;

/// The outside of all processes of a run.
#[derive(Debug)]
pub struct Services {
    /// The notebook.
    pub scribe: Scribe,
    /// The time.
    pub clock: VirtualClock,
    /// The cluster's id.
    pub cluster: ClusterId,
    /// Postgres.
    pub database: MemoryMetastore,
    /// What lies in the bucket.
    pub objects: Arc<MemoryStore>,
    /// Where the bucket's events go.
    pub queue: Arc<EventQueue>,
    /// What goes wrong for everybody.
    pub climate: Arc<Climate>,
    bucket: Arc<TellingBucket>,
    dice: Dice,
    refusals: Dice,
    numbers: AtomicU64,
}

impl Services {
    /// Nothing is in them yet; to be called inside the run's runtime.
    pub fn start(plan: &Plan, scribe: Scribe) -> Self {
        let clock = VirtualClock::start();
        let dice = Dice::new(plan.seed, "services");
        let objects = Arc::new(MemoryStore::new());
        let queue_dice = Dice::new(plan.seed, "events");
        let queue = Arc::new(EventQueue::new(plan.faults.events.clone(), queue_dice, scribe.clone()));
        let cluster = ClusterId(dice.entropy().uuid_v4());
        Self {
            cluster,
            database: MemoryMetastore::new(cluster, Arc::new(clock)),
            bucket: Arc::new(TellingBucket {
                objects: Arc::clone(&objects),
                queue: Arc::clone(&queue),
            }),
            climate: Arc::new(Climate::new(plan)),
            numbers: AtomicU64::new(0),
            scribe,
            clock,
            objects,
            queue,
            dice,
            refusals: Dice::new(plan.seed, "refusals"),
        }
    }

    /// A number that nobody else gets.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The metastore as `process` reaches it.
    pub fn metastore(&self, process: &Process) -> Metastore {
        self.database.connect(Arc::new(PostgresWeather {
            process: process.clone(),
            climate: Arc::clone(&self.climate),
            dice: self.dice.fork(),
            scribe: self.scribe.clone(),
        }))
    }

    /// The bucket as `process` reaches it, and what can be made to go wrong on that way.
    pub fn bucket(&self, process: &Process) -> (Arc<dyn ObjectStore>, FaultHandle) {
        let failing = FailingStore::new(Arc::<TellingBucket>::clone(&self.bucket), self.dice.entropy());
        let faults = failing.faults();
        self.climate.take_in(&faults);
        let client = BucketClient {
            process: process.clone(),
            bucket: Arc::new(failing),
            climate: Arc::clone(&self.climate),
            dice: self.dice.fork(),
            refusals: self.refusals.fork(),
            scribe: self.scribe.clone(),
        };
        (Arc::new(client), faults)
    }
}
