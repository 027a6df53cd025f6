//! Long polls: readers at the end of their logs sleep until one of those ends moves.
//!
//! One task asks Postgres about all watched partitions at once, when a reader came, a commit is hinted at or the interval is over, and
//! wakes exactly the readers whose partitions moved. It asks for what lies behind their ends, not only how far that is: the planner
//! remembers the answer, so that those who wake need not ask again. With no reader waiting it asks nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metastore::WantedRange;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use types::{Offset, PartitionIndex, TopicNumber};

use crate::fetch::planner::Planner;
use crate::hints::CommitSignal;

/// Shortest time between two questions: commits that come closer are answered by one.
const QUESTION_GAP: Duration = Duration::from_millis(2);
/// Bytes and index rows of a partition that one question brings: what is behind them is planned by the reader.
const TAIL_BYTES_MAX: u64 = 16 * 1024 * 1024;
const TAIL_ROWS_MAX: u32 = 16;
/// Wait after a failed question.
const FAILURE_WAIT: Duration = Duration::from_millis(500);

/// A partition, as the tables name it.
pub type PartitionKey = (TopicNumber, PartitionIndex);

#[derive(Debug)]
struct Watched {
    end: Offset,
    waiters: BTreeMap<u64, Arc<Notify>>,
}

#[derive(Debug, Default)]
struct State {
    next_waiter: u64,
    partitions: BTreeMap<PartitionKey, Watched>,
}

/// The ends of logs that somebody waits for; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LogEndsWatch {
    state: Arc<Mutex<State>>,
    somebody_waits: Arc<Notify>,
}

/// A reader's place in the watch; leaves it when dropped.
struct Waiter<'a> {
    watch: &'a LogEndsWatch,
    id: u64,
    partitions: &'a [(PartitionKey, Offset)],
}

impl LogEndsWatch {
    /// Waits until the end of one of `partitions` lies beyond the offset given with it. Safe to cancel.
    pub async fn beyond(&self, partitions: &[(PartitionKey, Offset)]) {
        let notify = Arc::new(Notify::new());
        let Some(_waiter) = self.enter(partitions, &notify) else {
            return;
        };
        self.somebody_waits.notify_one();
        notify.notified().await;
    }

    /// `None`: an end has moved already.
    fn enter<'a>(&'a self, partitions: &'a [(PartitionKey, Offset)], notify: &Arc<Notify>) -> Option<Waiter<'a>> {
        let mut state = self.state();
        let moved =
            |(key, seen): &(PartitionKey, Offset)| state.partitions.get(key).is_some_and(|watched| watched.end > *seen);
        if partitions.iter().any(moved) {
            return None;
        }
        let id = state.next_waiter;
        state.next_waiter += 1;
        for (key, seen) in partitions {
            let watched = state.partitions.entry(*key).or_insert_with(|| Watched {
                end: *seen,
                waiters: BTreeMap::new(),
            });
            if watched.end < *seen {
                // This reader knows of a commit that nobody was told of yet.
                watched.end = *seen;
                watched.waiters.values().for_each(|waiter| waiter.notify_one());
            }
            watched.waiters.insert(id, Arc::clone(notify));
        }
        Some(Waiter {
            watch: self,
            id,
            partitions,
        })
    }

    /// Asks `planner` what lies behind the watched ends until `shutdown`.
    pub async fn run(
        self,
        planner: Arc<Planner>,
        signal: CommitSignal,
        interval: Duration,
        shutdown: CancellationToken,
    ) {
        shutdown
            .run_until_cancelled(self.ask_for_ever(&planner, signal, interval))
            .await;
    }

    async fn ask_for_ever(&self, planner: &Planner, signal: CommitSignal, interval: Duration) {
        let mut hints = signal.subscribe();
        loop {
            let watched = self.question();
            if watched.is_empty() {
                self.somebody_waits.notified().await;
                continue;
            }
            hints.mark_unchanged();
            match planner.ask(&watched).await {
                Ok(answer) => {
                    let ends = answer.iter().map(|there| there.as_ref().map(|there| there.end));
                    self.note(watched.iter().map(key_of).zip(ends));
                    sleep(QUESTION_GAP).await;
                    // Either will do: a hint, a new reader, or the interval.
                    let woken = async {
                        tokio::select! {
                            biased;
                            _ = hints.changed() => {}
                            () = self.somebody_waits.notified() => {}
                        }
                    };
                    let _ = timeout(interval, woken).await;
                }
                Err(error) => {
                    warn!(%error, "cannot see what was committed, readers wait");
                    sleep(FAILURE_WAIT).await;
                }
            }
        }
    }

    fn question(&self) -> Vec<WantedRange> {
        let state = self.state();
        let behind = |((topic, partition), watched): (&PartitionKey, &Watched)| WantedRange {
            topic: *topic,
            partition: *partition,
            from: watched.end,
            bytes_max: TAIL_BYTES_MAX,
            rows_max: TAIL_ROWS_MAX,
        };
        state.partitions.iter().map(behind).collect()
    }

    /// Wakes the readers of partitions whose end moved, and of those that are not there any more.
    fn note(&self, ends: impl Iterator<Item = (PartitionKey, Option<Offset>)>) {
        let mut state = self.state();
        for (key, end) in ends {
            let Some(watched) = state.partitions.get_mut(&key) else {
                continue;
            };
            let moved = end.is_none_or(|end| end > watched.end);
            watched.end = end.unwrap_or(watched.end).max(watched.end);
            if moved {
                watched.waiters.values().for_each(|waiter| waiter.notify_one());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(wanted: &WantedRange) -> PartitionKey {
    (wanted.topic, wanted.partition)
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.watch.state();
        for (key, _) in self.partitions {
            if let Some(watched) = state.partitions.get_mut(key) {
                watched.waiters.remove(&self.id);
                if watched.waiters.is_empty() {
                    state.partitions.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        (TopicNumber(1), PartitionIndex(partition))
    }

    #[tokio::test]
    async fn only_readers_of_a_partition_that_moved_are_woken() {
        let watch = LogEndsWatch::default();
        let (mine, other) = ([(key(0), Offset(5))], [(key(1), Offset(5))]);
        let mut first = Box::pin(watch.beyond(&mine));
        let mut second = Box::pin(watch.beyond(&other));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        watch.note([(key(0), Some(Offset(6))), (key(1), Some(Offset(5)))].into_iter());
        assert!(first.now_or_never().is_some());
        assert!((&mut second).now_or_never().is_none());
        drop(second);
        assert!(
            watch.state().partitions.is_empty(),
            "nobody waits, nothing is asked for"
        );
    }

    #[tokio::test]
    async fn readers_of_a_partition_that_is_gone_are_woken() {
        let watch = LogEndsWatch::default();
        let gone = [(key(0), Offset(5))];
        let mut reader = Box::pin(watch.beyond(&gone));
        assert!((&mut reader).now_or_never().is_none());
        watch.note([(key(0), None)].into_iter());
        assert!(reader.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_reader_who_knows_a_later_end_wakes_those_who_do_not() {
        let watch = LogEndsWatch::default();
        let (old, new) = ([(key(0), Offset(10))], [(key(0), Offset(12))]);
        let mut first = Box::pin(watch.beyond(&old));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(watch.beyond(&new));
        assert!((&mut second).now_or_never().is_none());
        assert!(first.now_or_never().is_some());
    }

    #[tokio::test]
    async fn an_end_that_moved_before_the_reader_came_wakes_him_at_once() {
        let watch = LogEndsWatch::default();
        let early = [(key(0), Offset(9))];
        let mut holder = Box::pin(watch.beyond(&early));
        assert!((&mut holder).now_or_never().is_none());
        assert!(watch.beyond(&[(key(0), Offset(5))]).now_or_never().is_some());
    }
}
