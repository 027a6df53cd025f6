//! The second half of a fetch: takes the memory for what is planned, reads it, and makes whole batches of it.

use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream;
use metastore::PlannedPartition;
use metrics::counter;
use storage::StorageError;
use tokio::time::Instant;
use tracing::{error, warn};
use types::ByteRange;

use crate::fetch::assemble::{AssembleError, Assembled, Cursor, Limits, assemble};
use crate::fetch::layout::Layout;
use crate::fetch::plan::{MergedRead, Piece, merge};
use crate::fetch::planner::Plan;
use crate::fetch::read::{Lane, ObjectReader};
use crate::fetch::serve::{FetchLimits, Fetcher, Served, ServedPartition, WantedPartition};
use crate::memory::pool::{AnswerPool, Grant, TAKING_PATIENCE};
use crate::metrics::CACHE_DAMAGED;

/// Ranges of one fetch read at once.
const READS_MAX: usize = 16;
/// How long a fetch waits for memory, if its client does not wait longer anyway: until those in its way have been seen to be slow, and as
/// long again. Clients give a request up after 30 s.
const MEMORY_WAIT_MAX: Duration = TAKING_PATIENCE.saturating_mul(2);
/// Times that a batch longer than there was room for is read again by itself: by its header, then whole.
const ALONE_MAX: usize = 3;

/// Memory for answers to fetches.
#[derive(Debug)]
pub struct FetchMemory {
    /// At the tail.
    pub hot: AnswerPool,
    /// Of old data, which cannot take what those at the tail have.
    pub cold: AnswerPool,
}

impl FetchMemory {
    /// So many bytes for each.
    pub fn new(hot_bytes: usize, cold_bytes: usize) -> Self {
        Self {
            hot: AnswerPool::new("answers", hot_bytes),
            cold: AnswerPool::new("cold_answers", cold_bytes),
        }
    }

    fn of(&self, lane: Lane) -> &AnswerPool {
        match lane {
            Lane::Hot => &self.hot,
            Lane::Cold => &self.cold,
        }
    }
}

impl Fetcher {
    /// Reads what there is memory for.
    pub(super) async fn read_all(
        &self,
        wanted: &[WantedPartition],
        planned: &Plan,
        limits: FetchLimits,
        deadline: Instant,
    ) -> Served {
        let mut layout = Layout::new(wanted, planned, limits.bytes_max, &self.cursors);
        for _ in 0..ALONE_MAX {
            let mut memory = self.take_memory(&mut layout, wanted, planned, deadline).await;
            match self.read_layout(wanted, planned, layout, limits, &mut memory).await {
                Ok(partitions) => {
                    // What is held for nothing, others can have.
                    memory = memory.filter(|_| partitions.iter().any(ServedPartition::has_records));
                    return Served { partitions, memory };
                }
                Err(NoRoom { place, bytes }) => {
                    // All that is held is given back before more is asked for: two who waited for each other would wait for ever.
                    drop(memory);
                    layout = Layout::of_one_batch(wanted, planned, place, bytes, &self.cursors);
                }
            }
        }
        layout.empty();
        let nothing = self.read_layout(wanted, planned, layout, limits, &mut None).await;
        Served {
            partitions: nothing.unwrap_or_default(),
            memory: None,
        }
    }

    /// The memory for `layout`, which is cut to it. `None`: nothing is to be read, or nothing can be.
    async fn take_memory(
        &self,
        layout: &mut Layout,
        wanted: &[WantedPartition],
        planned: &Plan,
        deadline: Instant,
    ) -> Option<Grant> {
        let bytes = layout.bytes();
        if bytes == 0 {
            return None;
        }
        let now = Instant::now();
        let give_up = if self.stopping.is_cancelled() {
            now
        } else {
            deadline.max(now + MEMORY_WAIT_MAX)
        };
        let pool = self.memory.of(layout.lane());
        let Some(memory) = pool.take(bytes, layout.least, give_up).await else {
            layout.empty();
            return None;
        };
        let granted = memory.bytes() as u64;
        if granted < bytes && layout.least < bytes {
            *layout = Layout::new(wanted, planned, granted, &self.cursors);
            layout.cut(granted);
        }
        Some(memory)
    }

    async fn read_layout(
        &self,
        wanted: &[WantedPartition],
        planned: &Plan,
        layout: Layout,
        limits: FetchLimits,
        memory: &mut Option<Grant>,
    ) -> Result<Vec<ServedPartition>, NoRoom> {
        let Layout {
            pieces,
            counts,
            budgets,
            reads,
            ..
        } = layout;
        let mut read = read_pieces(&self.reader, &pieces, &reads).await.into_iter();
        let mut pieces = pieces.into_iter();
        let mut served = Vec::with_capacity(wanted.len());
        let parts = wanted.iter().zip(planned).zip(counts).zip(budgets);
        for (place, (((wanted, planned), count), budget)) in parts.enumerate() {
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
                    let part = self.partition(wanted, planned, pieces, bytes, limits, memory);
                    part.await.map_err(|bytes| NoRoom { place, bytes })?
                }
            });
        }
        Ok(served)
    }

    /// Fails with the bytes that its first batch takes, if there is no memory for those.
    async fn partition(
        &self,
        wanted: &WantedPartition,
        planned: &PlannedPartition,
        pieces: Vec<Piece>,
        bytes: Vec<Result<BytesMut, StorageError>>,
        limits: Limits,
        memory: &mut Option<Grant>,
    ) -> Result<ServedPartition, u64> {
        let (log_start, end) = (planned.log_start, planned.end);
        if wanted.from < log_start || wanted.from > end {
            return Ok(ServedPartition::OutOfRange { log_start, end });
        }
        Ok(match self.assemble_intact(pieces, bytes, limits, memory).await {
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
            Err(Unserved::NoRoom(bytes)) => return Err(bytes),
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
        })
    }

    /// Where the sidecar's bytes are no whole batches, those of S3 are taken.
    async fn assemble_intact(
        &self,
        pieces: Vec<Piece>,
        bytes: Vec<Result<BytesMut, StorageError>>,
        limits: Limits,
        memory: &mut Option<Grant>,
    ) -> Result<Assembled, Unserved> {
        let assembled = Self::assemble(&self.reader, pieces.clone(), bytes, limits, memory).await;
        match assembled {
            Err(Unserved::Damaged(reason)) if self.reader.has_cache() => {
                counter!(CACHE_DAMAGED).increment(1);
                warn!(
                    reason,
                    object.key = pieces.first().map(|piece| piece.key.as_str()),
                    "reading from S3 instead"
                );
                let store = self.reader.of_store();
                let bytes = read_pieces(&store, &pieces, &merge(&pieces)).await;
                Self::assemble(&store, pieces, bytes, limits, memory).await
            }
            assembled => assembled,
        }
    }

    async fn assemble(
        reader: &ObjectReader,
        mut pieces: Vec<Piece>,
        bytes: Vec<Result<BytesMut, StorageError>>,
        limits: Limits,
        memory: &mut Option<Grant>,
    ) -> Result<Assembled, Unserved> {
        let mut bytes = readable(&mut pieces, bytes)?;
        // A batch longer than the budget is found out by reading its header, then read whole: at most two more reads.
        for _ in 0..2 {
            match assemble(&pieces, bytes, limits) {
                Ok(assembled) => return Ok(assembled),
                Err(AssembleError::NeedMore { piece, bytes: needed }) => {
                    pieces.truncate(piece + 1);
                    let last = &mut pieces[piece];
                    last.range.end = (last.range.start + needed).min(last.row_end);
                    let all = pieces.iter().map(|piece| piece.range.len()).sum();
                    if !memory.as_mut().is_some_and(|memory| memory.grow(all)) {
                        return Err(Unserved::NoRoom(all));
                    }
                    let read = read_pieces(reader, &pieces, &merge(&pieces)).await;
                    bytes = readable(&mut pieces, read)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(assemble(&pieces, bytes, limits)?)
    }
}

/// What was read before the first piece that could not be, which whoever reads on from there hears of; `pieces` are cut to it. Fails where
/// that is the very first.
fn readable(pieces: &mut Vec<Piece>, read: Vec<Result<BytesMut, StorageError>>) -> Result<Vec<BytesMut>, StorageError> {
    let mut there = Vec::with_capacity(read.len());
    for piece in read {
        match piece {
            Ok(bytes) => there.push(bytes),
            Err(error) if there.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    pieces.truncate(there.len());
    Ok(there)
}

/// Reads all pieces by `reads`; the answer has one entry per piece, in order.
async fn read_pieces(
    reader: &ObjectReader,
    pieces: &[Piece],
    reads: &[MergedRead],
) -> Vec<Result<BytesMut, StorageError>> {
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

/// There is no memory for the first batch of the partition at `place`, which needs so many bytes.
#[derive(Debug)]
struct NoRoom {
    place: usize,
    bytes: u64,
}

enum Unserved {
    Compression,
    /// There is no memory for the bytes that the first batch needs.
    NoRoom(u64),
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
