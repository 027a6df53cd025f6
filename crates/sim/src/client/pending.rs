//! What a producer has to send, in which order. Pure.
//!
//! As in the Java client, a batch that is to be sent again goes before everything newer of its partition, and waits while one
//! before it is in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

use super::Partition;
use super::batch::Sent;

/// The next batch for a partition.
#[derive(Debug)]
pub enum Next {
    /// One that was sent before.
    Again(Sent),
    /// A new one, made at this time.
    Fresh(Instant),
}

/// Batches that are not decided.
#[derive(Debug, Default)]
pub struct Pending {
    fresh: VecDeque<(Partition, Instant)>,
    again: BTreeMap<Partition, BTreeMap<u64, Sent>>,
    in_flight: BTreeMap<Partition, BTreeSet<u64>>,
}

impl Pending {
    /// A new batch is to be sent.
    pub fn make(&mut self, partition: Partition, now: Instant) {
        self.fresh.push_back((partition, now));
    }

    /// Takes what may be sent now in one request, at most one batch of each partition.
    pub fn take(&mut self, batches_max: usize) -> Vec<(Partition, Next)> {
        let mut taken: Vec<(Partition, Next)> = Vec::new();
        let partitions: Vec<Partition> = self.again.keys().cloned().collect();
        for partition in partitions {
            if taken.len() < batches_max {
                taken.extend(self.take_again(&partition).map(|sent| (partition, Next::Again(sent))));
            }
        }
        let mut at = 0;
        while at < self.fresh.len() && taken.len() < batches_max {
            let (partition, made_at) = self.fresh[at].clone();
            let blocked = self.again.contains_key(&partition) || taken.iter().any(|(other, _)| *other == partition);
            if blocked {
                at += 1;
            } else {
                self.fresh.remove(at);
                taken.push((partition, Next::Fresh(made_at)));
            }
        }
        taken
    }

    fn take_again(&mut self, partition: &Partition) -> Option<Sent> {
        let waiting = self.again.get_mut(partition)?;
        let first_in_flight = self.in_flight.get(partition).and_then(BTreeSet::first);
        let entry = waiting.first_entry()?;
        if first_in_flight.is_some_and(|first| first < entry.key()) {
            return None;
        }
        let sent = entry.remove();
        if waiting.is_empty() {
            self.again.remove(partition);
        }
        Some(sent)
    }

    /// `batch` is on its way.
    pub fn began(&mut self, batch: &Sent) {
        let in_flight = self.in_flight.entry(batch.partition.clone()).or_default();
        in_flight.insert(batch.number);
    }

    /// `batch` is not on its way any more.
    pub fn ended(&mut self, batch: &Sent) {
        if let Some(in_flight) = self.in_flight.get_mut(&batch.partition) {
            in_flight.remove(&batch.number);
        }
    }

    /// `batch` is to be sent again.
    pub fn retry(&mut self, batch: Sent) {
        let waiting = self.again.entry(batch.partition.clone()).or_default();
        waiting.insert(batch.number, batch);
    }

    /// Whether a batch before `batch` is not decided.
    pub fn follows_undecided(&self, batch: &Sent) -> bool {
        let first_again = self
            .again
            .get(&batch.partition)
            .and_then(|waiting| waiting.keys().next());
        let first_in_flight = self.in_flight.get(&batch.partition).and_then(BTreeSet::first);
        [first_again, first_in_flight]
            .into_iter()
            .flatten()
            .any(|first| *first < batch.number)
    }

    /// Takes all that was sent and is to be sent again.
    pub fn give_up_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.again)
            .into_values()
            .flat_map(BTreeMap::into_values)
            .collect()
    }

    /// All that was sent and is to be sent again, in the order in which it was first sent to its partition.
    pub fn sent_mut(&mut self) -> impl Iterator<Item = &mut Sent> {
        self.again.values_mut().flat_map(BTreeMap::values_mut)
    }

    /// Forgets new batches made before `then`.
    pub fn forget_fresh_before(&mut self, then: Instant) {
        self.fresh.retain(|(_, made_at)| *made_at >= then);
    }

    /// When the oldest batch that is to be sent again was made.
    pub fn oldest_again(&self) -> Option<Instant> {
        self.again
            .values()
            .flat_map(BTreeMap::values)
            .map(|sent| sent.made_at)
            .min()
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.again.is_empty()
    }
}
