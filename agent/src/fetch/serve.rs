//! One fetch: plan, wait until there is enough or the time is over; then `reading.rs` takes the memory for it, reads and assembles.
//!
//! The partitions are served in the order in which they are wanted: where the answer is full, those at the end get nothing.

use std::sync::Arc;
use std::time::Duration;

use metastore::{MetastoreError, PlannedPartition, WantedRange};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use types::{Offset, PartitionIndex, TopicNumber};

use crate::fetch::assemble::Assembled;
use crate::fetch::cursors::Cursors;
use crate::fetch::planner::{self, Plan, Planner};
use crate::fetch::read::ObjectReader;
use crate::fetch::reading::FetchMemory;
use crate::fetch::search::TimeSearches;
use crate::fetch::sessions::FetchSessions;
use crate::fetch::spread::{self, bytes_named, is_all};
use crate::fetch::wait::LogEndsWatch;
use crate::memory::pool::Grant;

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

impl ServedPartition {
    /// Whether any are served.
    pub fn has_records(&self) -> bool {
        matches!(self, Self::Records { assembled, .. } if assembled.bytes > 0)
    }
}

/// What became of a fetch.
#[derive(Debug, Default)]
pub struct Served {
    /// One entry per wanted partition, in order.
    pub partitions: Vec<ServedPartition>,
    /// Keeps the records counted.
    pub memory: Option<Grant>,
}

/// Serves fetches; shared by all connections.
#[derive(Debug)]
pub struct Fetcher {
    /// What answers may take.
    pub memory: FetchMemory,
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
    /// Serves one fetch. Safe to cancel.
    pub async fn serve(&self, wanted: &[WantedPartition], limits: FetchLimits) -> Result<Served, MetastoreError> {
        if wanted.is_empty() {
            return Ok(Served::default());
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
                return Ok(self.read_all(wanted, &planned, limits, deadline).await);
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
                return Ok(self.read_all(wanted, &planned, limits, deadline).await);
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
