//! One fetch session (KIP-227): the partitions a client reads, so that its requests name only what changed and its
//! answers only what is new. Pure.
//!
//! The partitions stand in the order in which they are served; one that got records goes to the end, so that with small
//! limits all of them get their turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use types::{Offset, PartitionIndex, TopicId, TopicName};

/// A topic as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name, legal or not.
    Name(Arc<str>),
    /// By id (KIP-516).
    Id(TopicId),
}

/// A partition as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionRef {
    /// Its topic.
    pub topic: TopicRef,
    /// Its index.
    pub index: PartitionIndex,
}

/// What a client wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// First offset wanted.
    pub from: Offset,
    /// Bytes at most.
    pub bytes_max: u64,
    /// The leader epoch it knows, negative for none.
    pub leader_epoch: i32,
}

/// A partition to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Which one.
    pub partition: PartitionRef,
    /// What is wanted of it.
    pub asked: Asked,
    /// The name its id stood for when the session first met it.
    pub known_name: Option<TopicName>,
}

/// What an answer says of a partition, as far as a session cares.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where the log ends.
    pub high_watermark: Offset,
    /// Where it starts.
    pub log_start: Offset,
    /// Whether there are records.
    pub has_records: bool,
    /// Whether there is something else the client has to hear: an error, a better agent to read from.
    pub is_notable: bool,
    /// Whether it is an error.
    pub is_error: bool,
    /// The topic's name, if it is known.
    pub name: Option<TopicName>,
}

#[derive(Debug)]
struct Cached {
    partition: PartitionRef,
    asked: Asked,
    known_name: Option<TopicName>,
    /// High watermark and log start, as the client was last told.
    told: Option<(Offset, Offset)>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Whether its requests name topics by id: that may not change.
    pub by_id: bool,
    /// The epoch that its next request has to bring.
    pub epoch: i32,
    /// When it began.
    pub created: Instant,
    /// When it was last used.
    pub used: Instant,
    cached: BTreeMap<u64, Cached>,
    places: BTreeMap<PartitionRef, u64>,
    next_place: u64,
}

/// The epoch after `epoch`: never 0, which asks for a new session.
pub fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

impl Session {
    /// A session whose first request was just served.
    pub fn new(by_id: bool, partitions: Vec<Fetched>, now: Instant) -> Self {
        let mut session = Self {
            by_id,
            epoch: next_epoch(0),
            created: now,
            used: now,
            cached: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        };
        for fetched in partitions {
            session.set(fetched.partition, fetched.asked);
        }
        session
    }

    /// How many partitions it has.
    pub fn len(&self) -> usize {
        self.cached.len()
    }

    /// Whether nothing is left in it.
    pub fn is_empty(&self) -> bool {
        self.cached.is_empty()
    }

    /// Whether it has this partition.
    pub fn has(&self, partition: &PartitionRef) -> bool {
        self.places.contains_key(partition)
    }

    /// Adds a partition, or takes over what is wanted of it now.
    pub fn set(&mut self, partition: PartitionRef, asked: Asked) {
        if let Some(cached) = self.places.get(&partition).and_then(|place| self.cached.get_mut(place)) {
            cached.asked = asked;
            return;
        }
        self.put_last(Cached {
            partition,
            asked,
            known_name: None,
            told: None,
        });
    }

    /// Leaves a partition out from now on.
    pub fn forget(&mut self, partition: &PartitionRef) {
        if let Some(place) = self.places.remove(partition) {
            self.cached.remove(&place);
        }
    }

    /// All its partitions, in the order in which they are to be served.
    pub fn partitions(&self) -> Vec<Fetched> {
        let fetched = |cached: &Cached| Fetched {
            partition: cached.partition.clone(),
            asked: cached.asked,
            known_name: cached.known_name.clone(),
        };
        self.cached.values().map(fetched).collect()
    }

    /// Notes what a partition's answer says; whether the client has to get it.
    pub fn tell(&mut self, partition: &PartitionRef, answer: Told) -> bool {
        let Some(place) = self.places.get(partition).copied() else {
            return true;
        };
        let cached = self
            .cached
            .get_mut(&place)
            .expect("a place is that of a cached partition");
        let ends = Some((answer.high_watermark, answer.log_start));
        let is_news = answer.has_records || answer.is_notable || cached.told != ends;
        // After an error the client is told of the partition again, whatever it knew before.
        cached.told = if answer.is_error { None } else { ends };
        cached.known_name = cached.known_name.take().or(answer.name);
        if answer.has_records {
            let served = self.cached.remove(&place).expect("it was just there");
            self.put_last(served);
        }
        is_news
    }

    fn put_last(&mut self, cached: Cached) {
        self.places.insert(cached.partition.clone(), self.next_place);
        self.cached.insert(self.next_place, cached);
        self.next_place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> PartitionRef {
        PartitionRef {
            topic: TopicRef::Name("t".into()),
            index: PartitionIndex(index),
        }
    }

    fn asked(from: i64) -> Asked {
        Asked {
            from: Offset(from),
            bytes_max: 1000,
            leader_epoch: -1,
        }
    }

    async fn session(count: i32) -> Session {
        let fetched = (0..count).map(|index| Fetched {
            partition: partition(index),
            asked: asked(0),
            known_name: None,
        });
        Session::new(false, fetched.collect(), Instant::now())
    }

    fn told(end: i64) -> Told {
        Told {
            high_watermark: Offset(end),
            log_start: Offset(0),
            has_records: false,
            is_notable: false,
            is_error: false,
            name: None,
        }
    }

    fn order(session: &Session) -> Vec<i32> {
        let partitions = session.partitions();
        partitions.iter().map(|fetched| fetched.partition.index.0).collect()
    }

    #[tokio::test]
    async fn a_partition_is_told_of_once_and_again_when_something_has_changed() {
        let mut session = session(1).await;
        assert!(session.tell(&partition(0), told(5)), "the first time");
        assert!(!session.tell(&partition(0), told(5)));
        assert!(session.tell(&partition(0), told(6)), "its end has moved");
        let trimmed = Told {
            log_start: Offset(3),
            ..told(6)
        };
        assert!(session.tell(&partition(0), trimmed.clone()), "its start has moved");
        assert!(!session.tell(&partition(0), trimmed));
    }

    #[tokio::test]
    async fn an_error_is_told_every_time_and_so_is_its_end() {
        let mut session = session(1).await;
        session.tell(&partition(0), told(5));
        let failed = Told {
            is_notable: true,
            is_error: true,
            ..told(5)
        };
        assert!(session.tell(&partition(0), failed.clone()));
        assert!(session.tell(&partition(0), failed));
        assert!(session.tell(&partition(0), told(5)), "the error is over");
        assert!(!session.tell(&partition(0), told(5)));
    }

    #[tokio::test]
    async fn a_partition_that_got_records_goes_to_the_end() {
        let mut session = session(3).await;
        let served = Told {
            has_records: true,
            ..told(5)
        };
        assert!(session.tell(&partition(0), served.clone()));
        assert_eq!(order(&session), [1, 2, 0]);
        assert!(session.tell(&partition(0), served.clone()), "records are always news");
        session.tell(&partition(1), served);
        assert_eq!(order(&session), [2, 0, 1]);
        session.set(partition(2), asked(9));
        assert_eq!(
            order(&session),
            [2, 0, 1],
            "another offset is no reason to lose one's place"
        );
        assert_eq!(session.partitions()[0].asked, asked(9));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_gone_and_may_come_back() {
        let mut session = session(2).await;
        session.forget(&partition(0));
        session.forget(&partition(7));
        assert_eq!(order(&session), [1]);
        session.set(partition(0), asked(1));
        assert_eq!(order(&session), [1, 0]);
        assert!(session.tell(&partition(0), told(0)), "it starts anew");
    }

    #[test]
    fn epochs_go_round_past_the_one_that_opens_a_session() {
        assert_eq!((next_epoch(0), next_epoch(1), next_epoch(i32::MAX)), (1, 2, 1));
    }
}
