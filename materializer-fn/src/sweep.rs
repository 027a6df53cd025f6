//! The sweep: commits what agents that are gone left behind, and ends their streams (docs/ARCHITECTURE.md).
//!
//! Every pass commits the slots of a dead stream that follow its gate without a hole. Where an earlier pass, a grace
//! period ago, saw the gate where it still stands, the first free slot gets a tombstone: S3 first, under the same condition
//! as every PUT of a slot, then the row. So a sleeper that wakes up in between either wins that slot, and the stream goes on,
//! or meets the tombstone. Live streams are left alone. Then it deals with orphans (`orphans.rs`).

use commit::SlotFooter;
use futures::FutureExt;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use metastore::{CommitError, Committer, DeadStream, MetastoreError, SlotReadError};
use object_format::{Footer, FormatError, Kind, Tags, encode_tail, slot_key};
use serde::Serialize;
use storage::{PutOutcome, StorageError};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};
use types::{ClusterId, ContentId, Slot, SlotSeq};

use crate::limits::{FOOTERS_AT_ONCE_MAX, STREAMS_AT_ONCE_MAX, SWEEP_STREAMS_MAX};
use crate::orphans::{self, Cleared};
use crate::{Context, metrics};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepSummary {
    /// Dead streams it looked at.
    pub streams: usize,
    /// Slots it committed; tombstones do not count.
    pub committed_slots: u64,
    /// Streams it ended.
    pub ended: usize,
    /// Streams that it could not deal with; the next pass tries again.
    pub failed: usize,
    /// Orphans it found: slots past their stream's end.
    pub orphans_found: u64,
    /// Orphans whose objects it deleted.
    pub orphans_deleted: u64,
}

/// Why a stream could not be swept.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Read(#[from] SlotReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("tombstone: {0}")]
    Format(#[from] FormatError),
    #[error("out of time")]
    OutOfTime,
}

/// How far a pass got with one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    committed_slots: u64,
    ended: bool,
}

/// One pass over the dead streams.
pub async fn run(context: &Context, deadline: Instant) -> Result<SweepSummary, MetastoreError> {
    let committer = context.committer().await?;
    let dead = context
        .metastore
        .dead_streams(context.graces.stream_ms, SWEEP_STREAMS_MAX);
    let dead = dead.await?;
    let mut summary = SweepSummary {
        streams: dead.len(),
        ..SweepSummary::default()
    };
    let sweeps: Vec<_> = dead
        .into_iter()
        .map(|stream| sweep_before(context, committer, stream, deadline).boxed())
        .collect();
    let mut done = stream::iter(sweeps).buffer_unordered(STREAMS_AT_ONCE_MAX);
    while let Some((stream, result)) = done.next().await {
        note(stream, result, &mut summary);
    }
    let cleared = orphans::clear(context, committer, deadline).await;
    summary.orphans_found = cleared.found;
    summary.orphans_deleted = cleared.deleted;
    if summary.streams > 0 || cleared != Cleared::default() {
        info!(
            streams = summary.streams,
            slots = summary.committed_slots,
            ended = summary.ended,
            failed = summary.failed,
            orphans.found = cleared.found,
            orphans.deleted = cleared.deleted,
            "swept"
        );
    }
    Ok(summary)
}

fn note(dead: DeadStream, result: Result<Swept, SweepError>, summary: &mut SweepSummary) {
    match result {
        Ok(swept) => {
            metrics::count_swept(if swept.ended { "ended" } else { "open" });
            summary.committed_slots += swept.committed_slots;
            summary.ended += usize::from(swept.ended);
        }
        Err(error) => {
            metrics::count_swept("failed");
            summary.failed += 1;
            match &error {
                SweepError::Read(read) if !read.is_retriable() => {
                    error!(%error, stream.id = %dead.stream, "a dead stream cannot be ended: a slot cannot be read");
                }
                _ => warn!(%error, stream.id = %dead.stream, "a dead stream is left to the next sweep"),
            }
        }
    }
}

async fn sweep_before(
    context: &Context,
    committer: &Committer,
    dead: DeadStream,
    deadline: Instant,
) -> (DeadStream, Result<Swept, SweepError>) {
    let swept = timeout_at(deadline, sweep_stream(context, committer, dead)).await;
    (dead, swept.unwrap_or(Err(SweepError::OutOfTime)))
}

async fn sweep_stream(context: &Context, committer: &Committer, dead: DeadStream) -> Result<Swept, SweepError> {
    let caught_up = catch_up(context, committer, dead).await;
    let Caught { mut swept, gate } = match caught_up {
        Ok(caught) => caught,
        Err(error) => {
            // Noted even so: what cannot be read must not keep the sweep from the streams behind it (see dead_streams).
            context.metastore.note_swept(dead.stream, dead.next_seq).await?;
            return Err(error);
        }
    };
    if swept.ended {
        return Ok(swept);
    }
    if dead.stood_still && gate == dead.next_seq {
        swept.ended = end_stream(context, committer, dead).await?;
    } else {
        context.metastore.note_swept(dead.stream, gate).await?;
    }
    Ok(swept)
}

/// How far the stream is committed after we did what could be done.
struct Caught {
    swept: Swept,
    gate: SlotSeq,
}

/// Commits what follows the gate without a hole.
async fn catch_up(context: &Context, committer: &Committer, dead: DeadStream) -> Result<Caught, SweepError> {
    let mut swept = Swept::default();
    let mut gate = dead.next_seq;
    loop {
        let found = footers_from(committer, dead, gate).await?;
        if found.is_empty() {
            return Ok(Caught { swept, gate });
        }
        let data = found.iter().filter(|slot| slot.footer.kind == Kind::Data).count();
        committer.commit(found).await?;
        swept.committed_slots += data as u64;
        let progress = context.metastore.stream_progress(dead.stream, gate, 0).await?;
        let Some(progress) = progress else {
            return Ok(Caught { swept, gate });
        };
        swept.ended = progress.end_seq.is_some();
        let moved = progress.next_seq > gate;
        gate = progress.next_seq;
        if swept.ended || !moved {
            return Ok(Caught { swept, gate });
        }
    }
}

/// Footers of the slots from `gate` on that are there without a hole, as many as are read at a time. The first one is
/// asked for alone: nearly always it is free, and that is all there is to know.
async fn footers_from(
    committer: &Committer,
    dead: DeadStream,
    gate: SlotSeq,
) -> Result<Vec<SlotFooter>, SlotReadError> {
    let Some(first) = committer.read_footer(slot(dead, gate)).await? else {
        return Ok(Vec::new());
    };
    let rest = (gate.0 + 1..gate.0 + FOOTERS_AT_ONCE_MAX as u64).map(|seq| slot(dead, SlotSeq(seq)));
    let rest = join_all(rest.map(|slot| committer.read_footer(slot))).await;
    // An error ends the run like a hole does; it comes up again as the first of the next one.
    let rest = rest.into_iter().map_while(|read| read.ok().flatten());
    Ok(std::iter::once(first).chain(rest).collect())
}

/// Puts the tombstone into the slot at the gate, which was free a moment ago, and commits it. False: somebody else was
/// there first, the next pass looks again.
async fn end_stream(context: &Context, committer: &Committer, dead: DeadStream) -> Result<bool, SweepError> {
    let content = ContentId(context.entropy.uuid_v4());
    let footer = tombstone(committer.cluster(), slot(dead, dead.next_seq), content)?;
    let key = slot_key(footer.slot());
    if context.store.put_if_absent(&key, footer.tail.clone()).await? == PutOutcome::AlreadyExists {
        return Ok(false);
    }
    info!(object.key = %key, stream.id = %dead.stream, "ending a dead stream");
    committer.commit(vec![footer]).await?;
    Ok(true)
}

/// An object that is nothing but its footer.
fn tombstone(cluster: ClusterId, slot: Slot, content: ContentId) -> Result<SlotFooter, FormatError> {
    let footer = Footer {
        kind: Kind::Tombstone,
        required_features: 0,
        optional_features: 0,
        cluster,
        slot,
        content,
        topics: Vec::new(),
        batches: Vec::new(),
        tags: Tags::new(),
    };
    let tail = encode_tail(&footer)?;
    Ok(SlotFooter {
        object_bytes: tail.len() as u64,
        footer: footer.into(),
        tail,
    })
}

fn slot(dead: DeadStream, seq: SlotSeq) -> Slot {
    Slot {
        stream: dead.stream,
        seq,
    }
}
