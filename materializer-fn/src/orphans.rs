//! Orphans: finds those that no event told of, and deletes what has been one for long enough.
//!
//! A slot past its stream's end in the row never commits, whatever happens; the grace period is for people, who may want to
//! look. Tombstones are never deleted, nor is what cannot be read: only a data object whose footer names its slot is known
//! to be nobody's. Live streams are never LISTed, ended ones once, from the slot after their end on.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use metastore::{Committer, EndedStream, MetastoreError, SlotReadError};
use object_format::{Kind, parse_slot_key, slot_key, stream_prefix};
use storage::StorageError;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};
use types::Slot;

use crate::limits::{FOOTERS_AT_ONCE_MAX, ORPHANS_PER_SWEEP_MAX, SEARCHES_PER_SWEEP_MAX};
use crate::{Context, metrics};

/// What was done about orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    /// Orphans found for the first time.
    pub(crate) found: u64,
    /// Objects of orphans deleted.
    pub(crate) deleted: u64,
}

#[derive(Debug, thiserror::Error)]
enum OrphanError {
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Read(#[from] SlotReadError),
}

/// One pass. What fails is left to the next one: nothing waits for it, and one stream does not keep the others from it.
pub(crate) async fn clear(context: &Context, committer: &Committer, deadline: Instant) -> Cleared {
    let mut cleared = Cleared::default();
    let pass = async {
        // First: it is quick, and a LIST that takes all the time there is must not keep anything from being deleted.
        note(delete_old(context, committer, &mut cleared.deleted).await);
        note(orphan_pending(committer, &mut cleared.found).await);
        note(search_ended(context, committer, &mut cleared.found).await);
    };
    if timeout_at(deadline, Box::pin(pass)).await.is_err() {
        warn!("out of time, orphans are left to the next sweep");
    }
    cleared
}

fn note(result: Result<(), OrphanError>) {
    if let Err(error) = result {
        warn!(%error, "orphans are left to the next sweep");
    }
}

async fn orphan_pending(committer: &Committer, found: &mut u64) -> Result<(), OrphanError> {
    *found += committer.orphan_pending().await?;
    Ok(())
}

/// Searches streams that ended a grace period ago: by now every PUT that was under way has landed, but for those of agents
/// that sleep longer; of theirs an event tells.
async fn search_ended(context: &Context, committer: &Committer, found: &mut u64) -> Result<(), OrphanError> {
    let unsearched = context
        .metastore
        .unsearched_streams(context.graces.orphan_ms, SEARCHES_PER_SWEEP_MAX)
        .await?;
    for ended in unsearched {
        match search(context, committer, ended).await {
            Ok(new) => {
                *found += new;
                context.metastore.note_searched(ended.stream).await?;
            }
            Err(error) => warn!(%error, stream.id = %ended.stream, "an ended stream is searched by the next sweep"),
        }
    }
    Ok(())
}

async fn search(context: &Context, committer: &Committer, ended: EndedStream) -> Result<u64, OrphanError> {
    let end = Slot {
        stream: ended.stream,
        seq: ended.end_seq,
    };
    let prefix = stream_prefix(ended.stream);
    let mut after = slot_key(end);
    let mut found = 0;
    loop {
        let listed = context.store.list(&prefix, Some(after.as_str())).await?;
        let Some(last) = listed.last() else { return Ok(found) };
        after = last.key.clone();
        let slots: Vec<Slot> = listed
            .iter()
            .filter_map(|object| parse_slot_key(object.key.as_str()).ok())
            .filter(|slot| slot.seq.0 <= i64::MAX as u64)
            .collect();
        found += committer.record_orphans(&slots).await?;
    }
}

async fn delete_old(context: &Context, committer: &Committer, deleted: &mut u64) -> Result<(), OrphanError> {
    let old = context
        .metastore
        .old_orphans(context.graces.orphan_ms, ORPHANS_PER_SWEEP_MAX)
        .await?;
    let deletions: Vec<BoxFuture<'_, (Slot, Result<bool, OrphanError>)>> = old
        .into_iter()
        .map(|slot| async move { (slot, delete(context, committer, slot).await) }.boxed())
        .collect();
    let mut deletions = stream::iter(deletions).buffer_unordered(FOOTERS_AT_ONCE_MAX);
    let mut done = Vec::new();
    while let Some((slot, result)) = deletions.next().await {
        match result {
            Ok(was_deleted) => {
                *deleted += u64::from(was_deleted);
                done.push(slot);
            }
            Err(error) => warn!(%error, object.key = %slot_key(slot), "an orphan is left to the next sweep"),
        }
    }
    // S3 first, then the row: a crash in between leaves a row whose object is gone, and the next pass finds that.
    context.metastore.forget_orphans(&done).await?;
    Ok(())
}

/// Deletes the object of an orphan, if it is data; `false`: there is nothing that may be deleted. The table holds only
/// slots past the end in their stream's row, and ends never move.
async fn delete(context: &Context, committer: &Committer, slot: Slot) -> Result<bool, OrphanError> {
    let key = slot_key(slot);
    match committer.read_footer(slot).await {
        Ok(Some(found)) if found.footer.kind == Kind::Data => {}
        Ok(_) => return Ok(false),
        Err(error) if matches!(error, SlotReadError::Storage(_)) && !error.is_no_object() => return Err(error.into()),
        Err(error) => {
            warn!(%error, object.key = %key, "an orphan that cannot be read is left where it is");
            return Ok(false);
        }
    }
    context.store.delete(&key).await?;
    metrics::count_deleted_orphan();
    info!(object.key = %key, "orphan deleted");
    Ok(true)
}
