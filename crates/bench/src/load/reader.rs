//! One client that reads some partitions of a topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::client;
use super::run_clock::RunClock;
use super::tally::Tallies;
use crate::config::TargetFlags;
use crate::payload;

/// How long to wait at once, so that the end of the run is seen.
const WAIT: Duration = Duration::from_millis(50);

/// Which partitions are read, from which offset on.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) topic: String,
    pub(super) partitions: Vec<(i32, i64)>,
}

impl Share {
    /// The share of consumer `index` of `consumers`; `offsets` are those of all partitions, in order.
    pub(super) fn of(topic: &str, offsets: &[i64], index: u32, consumers: u32) -> Self {
        let mine = |(partition, _): &(i32, i64)| *partition as u32 % consumers == index;
        Self {
            topic: topic.to_owned(),
            partitions: (0..).zip(offsets.iter().copied()).filter(mine).collect(),
        }
    }

    fn list(&self) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &self.partitions {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        Ok(list)
    }
}

/// A consumer at its place.
pub(super) struct Reader {
    client: BaseConsumer,
    clock: Arc<RunClock>,
    share: Share,
}

impl Reader {
    pub(super) fn new(target: &TargetFlags, group: &str, share: Share, clock: &Arc<RunClock>) -> Result<Self> {
        let client = client::consumer(target, group)?;
        client.assign(&share.list()?).context("cannot read the topic")?;
        Ok(Self {
            client,
            clock: Arc::clone(clock),
            share,
        })
    }

    /// Follows the end, and counts this run's records for its group, until there is no more to be read.
    pub(super) fn follow(self, arrived: &AtomicU64) -> Tallies {
        let mut tallies = Tallies::default();
        while self.clock.reads() {
            let Some(Ok(message)) = self.client.poll(WAIT).map(|polled| self.noted(polled)) else {
                continue;
            };
            let value = message.payload().unwrap_or_default();
            let Some(stamp) = payload::stamp_of(self.clock.run, value) else {
                continue;
            };
            tallies.record(stamp.phase, self.clock.elapsed().saturating_sub(stamp.due));
            self.clock.consumed.add(value.len());
            arrived.fetch_add(1, Ordering::Relaxed);
        }
        tallies
    }

    /// Reads to the end of every partition, once or again and again, or until there is no more to be read.
    pub(super) fn scan(self, again: bool) -> Result<()> {
        let mut at_end = 0;
        while self.clock.reads() {
            match self.client.poll(WAIT).map(|polled| self.noted(polled)) {
                Some(Ok(message)) => self.clock.consumed.add(message.payload().unwrap_or_default().len()),
                Some(Err(KafkaError::PartitionEOF(_))) => at_end += 1,
                Some(Err(_)) | None => {}
            }
            if at_end == self.share.partitions.len() {
                if !again {
                    break;
                }
                at_end = 0;
                self.client.assign(&self.share.list()?)?;
            }
        }
        Ok(())
    }

    /// Counts errors; the end of a partition is none.
    fn noted<T>(&self, polled: Result<T, KafkaError>) -> Result<T, KafkaError> {
        if let Err(error) = &polled
            && !matches!(error, KafkaError::PartitionEOF(_))
        {
            // librdkafka tries again by itself; what is lost for good shows as records that did not arrive.
            self.clock.error(error.to_string(), 0);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_of_a_group_share_all_partitions() {
        let offsets = [10, 11, 12, 13, 14];
        let shares: Vec<_> = (0..2)
            .map(|index| Share::of("t", &offsets, index, 2).partitions)
            .collect();
        assert_eq!(shares, [vec![(0, 10), (2, 12), (4, 14)], vec![(1, 11), (3, 13)]]);
    }
}
