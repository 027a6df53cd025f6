//! One fetch: plan, wait until there is enough or the time is over, read, assemble.
//!
//! The partitions are served in the order in which they are wanted: where the answer is full, those at the end get nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream;
use metastore::{MetastoreError, PlannedPartition, WantedRange};
use metrics::counter;
use storage::StorageError;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use types::{ByteRange, Offset, PartitionIndex, TopicNumber};

use crate::fetch::assemble::{AssembleError, Assembled, Cursor, Limits, assemble};
use crate::fetch::cursors::Cursors;
use crate::fetch::plan::{Piece, merge, pieces};
use crate::fetch::planner::{self, Plan, Planner};
use crate::fetch::read::ObjectReader;
use crate::fetch::search::TimeSearches;
use crate::fetch::sessions::FetchSessions;
use crate::fetch::spread::{self, budgets, bytes_named, is_all};
use crate::fetch::wait::LogEndsWatch;
use crate::metrics::CACHE_DAMAGED;

/// Ranges of one fetch read at once.
const READS_MAX: usize = 16;
/// How old what is known of a log's start may be where memory answers at once: for so long another agent's readers may still get what
/// DeleteRecords took.
const TAIL_AGE_MAX: Duration = Duration::from_millis(500);
/// Rest of a reader who was woken and found nothing new.
const WOKEN_IN_VAIN_WAIT: Duration = Duration::from_millis(50);

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct WantedPartition {
    /// The topic.
    pub topic: TopicNumber,
    /// The partition.
    pub partition: PartitionIndex,
    /// First offset wanted.
    pub from: Offset,
    /// Bytes at most.
    pub bytes_max: u64,
}

/// What a fetch as a whole may be.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Fewer bytes than this are waited for.
    pub bytes_min: u64,
    /// Bytes at most, but for the very first batch where that is larger.
    pub bytes_max: u64,
    /// How long to wait for `bytes_min`.
    pub wait_max: Duration,
    /// Fetch 10 and up.
    pub zstd_allowed: bool,
}

/// What became of one partition.
#[derive(Debug)]
pub enum ServedPartition {
    /// Its records, perhaps none.
    Records {
        /// First offset still there.
        log_start: Offset,
        /// One past the last committed record.
        end: Offset,
        /// Whole batches.
        assembled: Assembled,
    },
    /// The offset lies outside the log.
    OutOfRange {
        /// First offset still there.
        log_start: Offset,
        /// One past the last committed record.
        end: Offset,
    },
    /// There is no such partition (any more).
    Gone,
    /// Its object cannot be read.
    Unreadable,
    /// zstd for a client that does not know it.
    UnsupportedCompression,
}

/// Serves fetches; shared by all connections.
#[derive(Debug)]
pub struct Fetcher {
    /// Says where records lie.
    pub planner: Arc<Planner>,
    /// Sidecar and S3.
    pub reader: ObjectReader,
    /// Long polls.
    pub ends: LogEndsWatch,
    /// Where readers stopped.
    pub cursors: Cursors,
    /// What readers were told.
    pub sessions: FetchSessions,
    /// Records looked for by their time.
    pub searches: TimeSearches,
    /// Cancelled when the agent stops: from then on nobody waits.
    pub stopping: CancellationToken,
}

impl Fetcher {
    /// Serves one fetch; the answer has one entry per wanted partition, in order. Safe to cancel.
    pub async fn serve(
        &self,
        wanted: &[WantedPartition],
        limits: FetchLimits,
    ) -> Result<Vec<ServedPartition>, MetastoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let arrived = Instant::now();
        let deadline = arrived + limits.wait_max;
        let rows_max = spread::rows_at_first(wanted.len());
        let ranges: Vec<WantedRange> = wanted
            .iter()
            .map(|partition| wanted_range(partition, limits, rows_max))
            .collect();
        let mut known = None;
        let mut planned = self.plan_at_first(wanted, &ranges, limits).await?;
        loop {
            if Instant::now() >= deadline || is_enough(&planned, wanted, limits) {
                return Ok(self.read_all(wanted, planned, limits).await);
            }
            let ends: Vec<_> = wanted
                .iter()
                .zip(&planned)
                .filter_map(|(wanted, planned)| Some(((wanted.topic, wanted.partition), planned.as_ref()?.end)))
                .collect();
            if known.as_ref() == Some(&ends) {
                // The watch knows of a commit that the planner, who answers from memory, does not: to ask again at once
                // would keep the processor busy until Postgres is back.
                sleep_until(deadline.min(Instant::now() + WOKEN_IN_VAIN_WAIT)).await;
            }
            let moved = self.stopping.run_until_cancelled(self.ends.beyond(&ends));
            // Out of time: answer with what there is.
            let _ = timeout_at(deadline, moved).await;
            if self.stopping.is_cancelled() {
                return Ok(self.read_all(wanted, planned, limits).await);
            }
            known = Some(ends);
            // The watch has asked for everybody since, and says what it was told.
            planned = match self.plan_from_memory(&ranges, limits, arrived) {
                Some(planned) => {
                    planner::count("tail");
                    planned
                }
                None => self.plan(&ranges, limits).await?,
            };
        }
    }

    /// A reader who may wait is not worth a question of his own: either memory has what he lacks, or he has all that is known, and waits
    /// for the watch, which asks at once.
    async fn plan_at_first(
        &self,
        wanted: &[WantedPartition],
        ranges: &[WantedRange],
        limits: FetchLimits,
    ) -> Result<Plan, MetastoreError> {
        if !limits.wait_max.is_zero() && limits.bytes_min > 0 {
            let now = Instant::now();
            let since = now.checked_sub(TAIL_AGE_MAX).unwrap_or(now);
            let there = self.plan_from_memory(ranges, limits, since);
            if let Some(planned) = there.filter(|planned| is_enough(planned, wanted, limits)) {
                planner::count("tail");
                return Ok(planned);
            }
            if let Some(planned) = self.planner.recall_end(ranges) {
                return Ok(planned);
            }
        }
        self.plan(ranges, limits).await
    }

    fn plan_from_memory(&self, ranges: &[WantedRange], limits: FetchLimits, since: Instant) -> Option<Plan> {
        let mut planned = self.planner.recall(ranges, since)?;
        let (places, more) = lacking(ranges, &planned, limits);
        extend(&mut planned, places, self.planner.recall(&more, since));
        Some(planned)
    }

    /// The plan, with more of those partitions that have more where the others have little.
    async fn plan(&self, ranges: &[WantedRange], limits: FetchLimits) -> Result<Plan, MetastoreError> {
        let mut planned = self.planner.plan(ranges).await?;
        let (places, more) = lacking(ranges, &planned, limits);
        if !more.is_empty() {
            // Without it there is something to serve all the same.
            extend(&mut planned, places, self.planner.plan(&more).await.ok());
        }
        Ok(planned)
    }

    async fn read_all(&self, wanted: &[WantedPartition], planned: Plan, limits: FetchLimits) -> Vec<ServedPartition> {
        let there = wanted.iter().zip(&planned).map(|(wanted, planned)| {
            let bytes = planned.as_ref().map(bytes_named).unwrap_or_default();
            (bytes, wanted.bytes_max)
        });
        let budgets = budgets(&there.collect::<Vec<_>>(), limits.bytes_max);
        let mut all: Vec<Piece> = Vec::new();
        let mut counts = Vec::with_capacity(wanted.len());
        for ((wanted, planned), budget) in wanted.iter().zip(&planned).zip(&budgets) {
            let bytes = if budget.first_whole {
                budget.bytes.max(1)
            } else {
                budget.bytes
            };
            let mine = planned
                .as_ref()
                .map(|planned| pieces(wanted.topic, planned, wanted.from, bytes, &self.cursors))
                .unwrap_or_default();
            counts.push(mine.len());
            all.extend(mine);
        }
        let mut read = read_pieces(&self.reader, &all).await.into_iter();
        let mut pieces = all.into_iter();
        let mut served = Vec::with_capacity(wanted.len());
        for (((wanted, planned), count), budget) in wanted.iter().zip(planned).zip(counts).zip(budgets) {
            let pieces: Vec<Piece> = pieces.by_ref().take(count).collect();
            let bytes: Vec<_> = read.by_ref().take(count).collect();
            served.push(match planned {
                None => ServedPartition::Gone,
                Some(planned) => {
                    let limits = Limits {
                        from: wanted.from,
                        budget,
                        zstd_allowed: limits.zstd_allowed,
                    };
                    self.partition(wanted, &planned, pieces, bytes, limits).await
                }
            });
        }
        served
    }

    async fn partition(
        &self,
        wanted: &WantedPartition,
        planned: &PlannedPartition,
        pieces: Vec<Piece>,
        bytes: Vec<Result<BytesMut, StorageError>>,
        limits: Limits,
    ) -> ServedPartition {
        let (log_start, end) = (planned.log_start, planned.end);
        if wanted.from < log_start || wanted.from > end {
            return ServedPartition::OutOfRange { log_start, end };
        }
        match self.assemble_intact(pieces, bytes, limits).await {
            Ok(assembled) => {
                if let Some(Cursor {
                    object,
                    row_end,
                    offset,
                    position,
                }) = assembled.cursor
                {
                    self.cursors.note(object, row_end, offset, position);
                }
                ServedPartition::Records {
                    log_start,
                    end,
                    assembled,
                }
            }
            Err(Unserved::Compression) => ServedPartition::UnsupportedCompression,
            Err(Unserved::Unreadable(reason) | Unserved::Damaged(reason)) => {
                let (topic, partition) = (wanted.topic.0, wanted.partition.0);
                error!(
                    topic.number = topic,
                    partition.index = partition,
                    offset = wanted.from.0,
                    reason,
                    "log is unreadable"
                );
                ServedPartition::Unreadable
            }
        }
    }

    /// Where the sidecar's bytes are no whole batches, those of S3 are taken.
    async fn assemble_intact(
        &self,
        pieces: Vec<Piece>,
        bytes: Vec<Result<BytesMut, StorageError>>,
        limits: Limits,
    ) -> Result<Assembled, Unserved> {
        let assembled = Self::assemble(&self.reader, pieces.clone(), bytes, limits).await;
        match assembled {
            Err(Unserved::Damaged(reason)) if self.reader.has_cache() => {
                counter!(CACHE_DAMAGED).increment(1);
                warn!(
                    reason,
                    object.key = pieces.first().map(|piece| piece.key.as_str()),
                    "reading from S3 instead"
                );
                let store = self.reader.of_store();
                let bytes = read_pieces(&store, &pieces).await;
                Self::assemble(&store, pieces, bytes, limits).await
            }
            assembled => assembled,
        }
    }

    async fn assemble(
        reader: &ObjectReader,
        mut pieces: Vec<Piece>,
        bytes: Vec<Result<BytesMut, StorageError>>,
        limits: Limits,
    ) -> Result<Assembled, Unserved> {
        let mut bytes: Vec<BytesMut> = bytes.into_iter().collect::<Result<_, _>>()?;
        // A batch longer than the budget is found out by reading its header, then read whole: at most two more reads.
        for _ in 0..2 {
            match assemble(&pieces, bytes, limits) {
                Ok(assembled) => return Ok(assembled),
                Err(AssembleError::NeedMore { piece, bytes: needed }) => {
                    pieces.truncate(piece + 1);
                    let last = &mut pieces[piece];
                    last.range.end = (last.range.start + needed).min(last.row_end);
                    bytes = read_pieces(reader, &pieces)
                        .await
                        .into_iter()
                        .collect::<Result<_, _>>()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(assemble(&pieces, bytes, limits)?)
    }
}

/// What is still wanted beyond `planned`, and of which places.
fn lacking(ranges: &[WantedRange], planned: &Plan, limits: FetchLimits) -> (Vec<usize>, Vec<WantedRange>) {
    spread::lacking(ranges, planned, limits.bytes_max).into_iter().unzip()
}

fn extend(planned: &mut Plan, places: Vec<usize>, more: Option<Plan>) {
    for (place, more) in places.into_iter().zip(more.unwrap_or_default()) {
        if let (Some(planned), Some(more)) = (&mut planned[place], more) {
            spread::extend(planned, more);
        }
    }
}

/// Reads all pieces, merged per object; the answer has one entry per piece, in order.
async fn read_pieces(reader: &ObjectReader, pieces: &[Piece]) -> Vec<Result<BytesMut, StorageError>> {
    let reads = merge(pieces);
    let requests: Vec<_> = reads
        .iter()
        .map(|read| reader.read(&read.key, read.range, read.lane))
        .collect();
    let results: Vec<_> = stream::iter(requests).buffered(READS_MAX).collect().await;
    let mut bytes: Vec<Option<Result<BytesMut, StorageError>>> = pieces.iter().map(|_| None).collect();
    for (read, result) in reads.iter().zip(results) {
        match result {
            Ok(got) => {
                let topics = read.pieces.iter().map(|n| (pieces[*n].topic, pieces[*n].range.len()));
                reader.charge(&got, topics);
                let mut whole = got.bytes;
                // From the back, so that what is split off needs no copy.
                for n in read.pieces.iter().rev() {
                    let within = relative(pieces[*n].range, read.range.start);
                    let mut piece = whole.split_off(within.0);
                    piece.truncate(within.1);
                    bytes[*n] = Some(Ok(piece));
                }
            }
            Err(error) => read.pieces.iter().for_each(|n| bytes[*n] = Some(Err(error.clone()))),
        }
    }
    bytes
        .into_iter()
        .map(|piece| piece.expect("every piece is in one read"))
        .collect()
}

enum Unserved {
    Compression,
    /// There are no bytes.
    Unreadable(String),
    /// There are bytes, and they are not what they should be.
    Damaged(String),
}

impl From<StorageError> for Unserved {
    fn from(error: StorageError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<AssembleError> for Unserved {
    fn from(error: AssembleError) -> Self {
        match error {
            AssembleError::UnsupportedCompression => Self::Compression,
            AssembleError::Damaged => Self::Damaged("the object's bytes are not what the index says".to_owned()),
            AssembleError::NeedMore { .. } => Self::Damaged("a batch is longer than its header says".to_owned()),
        }
    }
}

/// Start and length of `range` within what was read from `start` on.
fn relative(range: ByteRange, start: u64) -> (usize, usize) {
    let to_usize = |bytes: u64| usize::try_from(bytes).expect("what was read is in memory");
    (to_usize(range.start - start), to_usize(range.len()))
}

fn wanted_range(partition: &WantedPartition, limits: FetchLimits, rows_max: u32) -> WantedRange {
    WantedRange {
        topic: partition.topic,
        partition: partition.partition,
        from: partition.from,
        bytes_max: partition.bytes_max.min(limits.bytes_max).max(1),
        rows_max,
    }
}

/// Whether to answer at once: enough bytes, or a partition whose error the client should hear.
fn is_enough(planned: &[Option<PlannedPartition>], wanted: &[WantedPartition], limits: FetchLimits) -> bool {
    let mut bytes = 0;
    for (planned, wanted) in planned.iter().zip(wanted) {
        let Some(planned) = planned else { return true };
        if wanted.from < planned.log_start || wanted.from > planned.end {
            return true;
        }
        let there = bytes_named(planned);
        let budget = wanted.bytes_max.max(1);
        if there < budget && !is_all(planned) {
            // There is more than one plan names: waiting would bring nothing nearer.
            return true;
        }
        bytes += there.min(budget);
    }
    bytes >= limits.bytes_min.min(limits.bytes_max)
}
