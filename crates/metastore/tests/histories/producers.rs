//! What producers send: mostly the next sequence, and every kind of mistake, retry and restart.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::history::PlannedBatch;

/// The producers of one history. Each has a stream at home, where most of its batches go, so that many of them arrive
/// in order.
pub(crate) struct Producers {
    homes: Vec<usize>,
    sent: BTreeMap<(usize, usize, i32), Sent>,
}

/// What one producer has sent to one partition.
#[derive(Default)]
struct Sent {
    epoch: i16,
    next: i32,
    batches: Vec<(i16, i32, u64)>,
}

impl Producers {
    pub(crate) fn new(count: usize, streams: usize) -> Self {
        Self {
            homes: (0..count).map(|n| n % streams).collect(),
            sent: BTreeMap::new(),
        }
    }

    /// A batch for an object of `stream`.
    pub(crate) fn batch(&mut self, random: &mut StdRng, topics: &[i32], stream: usize) -> PlannedBatch {
        let topic = random.random_range(0..topics.len());
        let no_such_partition = random.random_bool(0.02);
        let partition = if no_such_partition {
            topics[topic]
        } else {
            random.random_range(0..topics[topic])
        };
        let mut count = random.random_range(1..=5);
        let mut producer = (-1, -1, -1);
        if let Some(n) = self.producer(random, stream) {
            let (epoch, sequence, its_count) = self.sent.entry((n, topic, partition)).or_default().next(random, count);
            count = its_count;
            producer = (n as i64, epoch, sequence);
        }
        PlannedBatch {
            topic,
            partition,
            count,
            timestamp: random.random_range(0..1000),
            producer,
        }
    }

    fn producer(&self, random: &mut StdRng, stream: usize) -> Option<usize> {
        let anybody: Vec<usize> = (0..self.homes.len()).collect();
        let at_home: Vec<usize> = anybody.iter().copied().filter(|n| self.homes[*n] == stream).collect();
        match random.random_range(0..10) {
            0..=2 => None,
            3 => anybody.choose(random).copied(),
            _ => at_home.choose(random).copied(),
        }
    }
}

impl Sent {
    /// Epoch, sequence and record count of the next batch.
    fn next(&mut self, random: &mut StdRng, count: u64) -> (i16, i32, u64) {
        let (epoch, sequence, count) = match random.random_range(0..100) {
            // again, whatever it was
            0..=17 if !self.batches.is_empty() => return *self.batches.choose(random).expect("not empty"),
            18..=22 => return (self.epoch, self.next + random.random_range(1..9), count),
            23..=25 => return (self.epoch - 1, self.next, count),
            26..=29 => (self.epoch + 1, 0, count),
            30..=33 => (self.epoch, 0, count),
            _ => (self.epoch, self.next, count),
        };
        self.epoch = epoch;
        self.next = sequence + count as i32;
        self.batches.push((epoch, sequence, count));
        (epoch, sequence, count)
    }
}
