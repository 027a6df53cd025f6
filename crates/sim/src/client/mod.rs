//! Kafka clients small enough to be understood: a producer that reacts to errors as the Java client or librdkafka does, a consumer that tails,
//! a reader that reads everything, and questions asked right after an ack. They speak the real protocol over the network in memory.

pub mod ask;
pub mod batch;
pub mod broker;
pub mod connection;
pub mod errors;
pub mod pending;
pub mod producer;
pub mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oracle::{MemoryLedger, RecordName};

use crate::network::Network;
use crate::random::Dice;
use crate::scribe::Scribe;

/// A partition by name.
pub type Partition = (Arc<str>, i32);

/// The key of the record that was found at an offset.
pub type Seen = BTreeMap<(Partition, i64), Vec<u8>>;

/// What all clients of a run share.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The way to the agents.
    pub network: Arc<Network>,
    /// Host names of the agents.
    pub hosts: Vec<String>,
    /// Topic names.
    pub topics: Vec<Arc<str>>,
    /// All partitions.
    pub partitions: Vec<Partition>,
    /// The notebook.
    pub scribe: Scribe,
    /// The oracle's ledger.
    pub ledger: Arc<Mutex<MemoryLedger>>,
    /// What was ever seen at an offset.
    pub seen: Arc<Mutex<Seen>>,
    /// Keys of the records that their client sent more than once.
    pub resent: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

impl Clients {
    /// Opens the ledger.
    pub fn ledger(&self) -> MutexGuard<'_, MemoryLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any host.
    pub fn any_host(&self, dice: &Dice) -> String {
        dice.pick(&self.hosts)
    }

    /// Notes that `key` was found at `offset`; whatever is found there once is found there always.
    pub fn note_seen(&self, partition: &Partition, offset: i64, key: &[u8]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.entry((partition.clone(), offset)).or_insert_with(|| key.to_vec());
        if before != key {
            self.scribe.violation(format_args!(
                "{}/{}: offset {offset} held {} and holds {} now",
                partition.0,
                partition.1,
                String::from_utf8_lossy(before),
                String::from_utf8_lossy(key)
            ));
        }
    }

    /// Notes that the record `name` was sent again: it may be there twice, unless its producer is idempotent.
    pub fn note_resent(&self, name: RecordName<'_>) {
        let key = batch::key(name);
        self.resent.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// A record that its client sent once is there once at most, whatever happened behind the agent.
    pub fn check_sent_once(&self) {
        let resent = self.resent.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first_copies: BTreeMap<&[u8], i64> = BTreeMap::new();
        for ((_, offset), key) in seen.iter() {
            let first = *first_copies.entry(key).or_insert(*offset);
            if first != *offset && !resent.contains(key) {
                let name = String::from_utf8_lossy(key);
                self.scribe
                    .violation(format_args!("{name} was sent once and lies at {first} and {offset}"));
            }
        }
    }
}
