//! Records looked for by their time: the index says in which row, the row's batches say which record. They are decompressed for
//! it, a bounded number of them at a time.

use std::sync::Arc;

use metastore::{IndexedRange, LogEnds, Metastore, MetastoreError, WantedRange};
use metrics::counter;
use record_batch::{RecordMeta, RecordsError};
use storage::StorageError;
use tokio::sync::Semaphore;
use tracing::warn;
use types::{Offset, TimestampMs};

use crate::fetch::by_time::{first_at_or_after, latest};
use crate::fetch::read::{Lane, ObjectReader};
use crate::fetch::wait::PartitionKey;
use crate::frame::{BytePermit, BytePermits};
use crate::metrics::CACHE_DAMAGED;

/// Searches at once in this agent. Each may hold a row (an object at most); one of them at a time a batch of it, decompressed.
const SEARCHES_MAX: usize = 4;
/// Rows read ahead by name; they are read one by one.
const ROWS_AHEAD: u32 = 64;

/// Why a record cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Postgres failed.
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    /// The log cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log is not what it should be.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A bug: the search itself failed.
    #[error("the search ended early: {0}")]
    Broken(String),
}

/// What all searches of an agent share.
#[derive(Debug)]
pub struct TimeSearches {
    running: Semaphore,
    rows: BytePermits,
    decompressing: Arc<Semaphore>,
}

impl TimeSearches {
    /// Searches that hold rows of `bytes_max` together; a row that is larger is searched alone.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            running: Semaphore::new(SEARCHES_MAX),
            rows: BytePermits::named("searches", bytes_max),
            decompressing: Arc::new(Semaphore::new(1)),
        }
    }

    /// Runs `search` when no other runs: batches are decompressed in it, so not on a thread that others wait for. Who asked may go
    /// meanwhile; `search` is not ended by that, and nor are its turn and what it holds given back before.
    async fn alone<A: Send + 'static>(
        &self,
        search: impl FnOnce() -> Result<A, RecordsError> + Send + 'static,
    ) -> Result<A, SearchError> {
        let turn = Arc::clone(&self.decompressing).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let search = move || {
            let found = search();
            drop(turn);
            found
        };
        let done = tokio::task::spawn_blocking(search).await;
        Ok(done.map_err(|error| SearchError::Broken(error.to_string()))??)
    }
}

/// One search in one partition.
#[derive(Clone, Copy, Debug)]
pub struct TimeSearch<'a> {
    /// Where rows are.
    pub metastore: &'a Metastore,
    /// Where bytes are.
    pub reader: &'a ObjectReader,
    /// How many may search.
    pub searches: &'a TimeSearches,
    /// The partition.
    pub partition: PartitionKey,
    /// Where its log starts and ends.
    pub ends: LogEnds,
}

impl TimeSearch<'_> {
    /// The first record at or after `timestamp`; `None`: all are older.
    ///
    /// The index knows the largest timestamp that producers claimed so far. Where a claim was larger than any record, or its
    /// record is no longer there, the row it leads to has no such record, and neither may the rows after it: the search goes on
    /// until one has.
    pub async fn first_at_or_after(self, timestamp: TimestampMs) -> Result<Option<RecordMeta>, SearchError> {
        let _permit = self.permit().await;
        let (topic, partition) = self.partition;
        let first = self.metastore.range_at_or_after(topic, partition, timestamp).await?;
        let Some(first) = first else { return Ok(None) };
        let mut rows = Rows::from(first.base_offset);
        while let Some(row) = rows.next(self).await? {
            let (base_offset, from) = (row.base_offset, self.ends.log_start);
            let search = move |bytes: &[u8]| first_at_or_after(bytes, base_offset, from, timestamp);
            if let Some(record) = self.look_through(&row, search).await? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp, the first of several.
    pub async fn latest(self) -> Result<Option<RecordMeta>, SearchError> {
        let claimed = self.first_at_or_after(self.ends.max_timestamp).await?;
        if claimed.is_some() {
            return Ok(claimed);
        }
        // The largest timestamp there ever was is that of a record which is gone, or of none: all have to be looked at.
        let _permit = self.permit().await;
        let mut rows = Rows::from(self.ends.log_start);
        let mut best = None;
        while let Some(row) = rows.next(self).await? {
            let (base_offset, from) = (row.base_offset, self.ends.log_start);
            let search = move |bytes: &[u8]| latest(bytes, base_offset, from, best);
            best = self.look_through(&row, search).await?;
        }
        Ok(best)
    }

    /// Reads a row and searches it. Where the sidecar's bytes are not whole batches, those of S3 are taken.
    async fn look_through<A: Send + 'static>(
        &self,
        row: &IndexedRange,
        search: impl FnOnce(&[u8]) -> Result<A, RecordsError> + Clone + Send + 'static,
    ) -> Result<A, SearchError> {
        let row_bytes = usize::try_from(row.range.len()).unwrap_or(usize::MAX);
        let held = Arc::new(self.searches.rows.acquire(row_bytes).await);
        let found = self.look(self.reader, row, &held, search.clone()).await;
        match found {
            Err(SearchError::Records(error)) if self.reader.has_cache() => {
                counter!(CACHE_DAMAGED).increment(1);
                warn!(%error, object.key = %row.key, "reading from S3 instead");
                self.look(&self.reader.of_store(), row, &held, search).await
            }
            found => found,
        }
    }

    async fn look<A: Send + 'static>(
        &self,
        reader: &ObjectReader,
        row: &IndexedRange,
        held: &Arc<BytePermit>,
        search: impl FnOnce(&[u8]) -> Result<A, RecordsError> + Send + 'static,
    ) -> Result<A, SearchError> {
        let read = reader.read(&row.key, row.range, Lane::Cold).await?;
        reader.charge(&read, [(self.partition.0, row.range.len())].into_iter());
        let held = Arc::clone(held);
        let search = move || {
            let found = search(&read.bytes);
            drop((read, held));
            found
        };
        self.searches.alone(search).await
    }

    async fn permit(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.searches
            .running
            .acquire()
            .await
            .expect("the semaphore is never closed")
    }
}

/// Index rows, one after the other.
struct Rows {
    next: Offset,
    ahead: std::vec::IntoIter<IndexedRange>,
}

impl Rows {
    fn from(offset: Offset) -> Self {
        Self {
            next: offset,
            ahead: Vec::new().into_iter(),
        }
    }

    async fn next(&mut self, search: TimeSearch<'_>) -> Result<Option<IndexedRange>, SearchError> {
        if self.ahead.len() == 0 {
            let (topic, partition) = search.partition;
            let wanted = WantedRange {
                topic,
                partition,
                // The row that leads here may begin below the start of the log.
                from: self.next.max(search.ends.log_start),
                bytes_max: u64::MAX,
                rows_max: ROWS_AHEAD,
            };
            let planned = search
                .metastore
                .plan_fetch(&[wanted])
                .await?
                .into_iter()
                .flatten()
                .next();
            self.ahead = planned.map(|planned| planned.ranges).unwrap_or_default().into_iter();
        }
        let row = self.ahead.next();
        if let Some(row) = &row {
            self.next = row.next_offset;
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_goes_while_his_search_runs_does_not_let_a_second_one_begin() {
        let searches = TimeSearches::new(1);
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let search = move || {
            begun.send(()).unwrap();
            let _ = may_end.recv();
            Ok(())
        };
        let mut first = Box::pin(searches.alone(search));
        assert!((&mut first).now_or_never().is_none());
        has_begun.recv().unwrap();
        drop(first);
        let free = searches.decompressing.available_permits();
        assert_eq!(free, 0, "the first is still at work");
        drop(end);
        searches.alone(|| Ok(())).await.unwrap();
    }
}
