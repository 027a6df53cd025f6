//! From keys to fates: reads the footers of the objects that an event told of and that are not committed yet, commits them, and says
//! for each what became of it. Streams are independent of each other: one that fails does not keep the others from being committed.

use std::collections::{BTreeMap, BTreeSet};

use commit::SlotFooter;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use metastore::{Committer, MetastoreError};
use object_format::{parse_slot_key, slot_key};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error, warn};
use types::{ObjectKey, Slot, SlotSeq, StreamId};

use crate::error::{fate_of_commit, fate_of_read, fate_of_result};
use crate::limits::{FOOTERS_AT_ONCE_MAX, STREAMS_AT_ONCE_MAX};
use crate::{Context, metrics};

/// What became of an object that an event told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is committed, now or earlier.
    Committed,
    /// A slot before it is missing; Postgres keeps its footer.
    Pending,
    /// It lies past its stream's end and never commits.
    Orphan,
    /// Its stream has no row: of a database that is gone, or not ours at all.
    UnknownStream,
    /// The object has been deleted.
    Gone,
    /// The key names no slot.
    Foreign,
    /// There is something in the slot that no agent of ours wrote there.
    Unreadable,
    /// Something unreadable lies in an earlier slot of its stream.
    Blocked,
    /// It could not be committed now; another delivery may succeed.
    Retry,
}

impl Fate {
    /// Name of the fate in logs, metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Pending => "pending",
            Self::Orphan => "orphan",
            Self::UnknownStream => "unknown_stream",
            Self::Gone => "gone",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
            Self::Blocked => "blocked",
            Self::Retry => "retry",
        }
    }
}

/// Commits the objects of `keys` before `deadline`; one fate per key.
pub async fn materialize<'a>(
    context: &Context,
    keys: impl IntoIterator<Item = &'a ObjectKey>,
    deadline: Instant,
) -> BTreeMap<ObjectKey, Fate> {
    let mut fates = BTreeMap::new();
    let mut streams: BTreeMap<StreamId, BTreeSet<Slot>> = BTreeMap::new();
    for key in keys {
        match parse_slot_key(key.as_str()) {
            Ok(slot) => drop(streams.entry(slot.stream).or_default().insert(slot)),
            Err(_) => {
                warn!(object.key = %key, "ignoring an object whose key names no slot");
                fates.insert(key.clone(), Fate::Foreign);
            }
        }
    }
    // Collected and boxed: as a lazy iterator of closures the whole would not be seen to be `Send`.
    let commits: Vec<_> = streams
        .into_values()
        .map(|slots| stream_before(context, slots, deadline).boxed())
        .collect();
    let mut done = stream::iter(commits).buffer_unordered(STREAMS_AT_ONCE_MAX);
    while let Some(of_stream) = done.next().await {
        fates.extend(of_stream.into_iter().map(|(slot, fate)| (slot_key(slot), fate)));
    }
    fates.values().for_each(|fate| metrics::count_object(*fate));
    debug!(?fates, "objects of an event are dealt with");
    fates
}

async fn stream_before(context: &Context, slots: BTreeSet<Slot>, deadline: Instant) -> BTreeMap<Slot, Fate> {
    // Safe to cancel: a transaction happens whole or not at all.
    match timeout_at(deadline, commit_stream(context, &slots)).await {
        Ok(fates) => fates,
        Err(_) => {
            warn!(slots = slots.len(), stream.id = %stream_of(&slots), "out of time before the slots were committed");
            all(slots, Fate::Retry)
        }
    }
}

async fn commit_stream(context: &Context, slots: &BTreeSet<Slot>) -> BTreeMap<Slot, Fate> {
    let committer = match context.committer().await {
        Ok(committer) => committer,
        Err(error) => {
            warn!(%error, stream.id = %stream_of(slots), "the cluster id cannot be read");
            return all(slots.iter().copied(), Fate::Retry);
        }
    };
    let undecided = match not_committed(context, slots).await {
        Ok(undecided) => undecided,
        Err(error) => {
            warn!(%error, stream.id = %stream_of(slots), "how far the stream is cannot be read");
            return all(slots.iter().copied(), Fate::Retry);
        }
    };
    let (footers, mut fates) = read_footers(committer, &undecided).await;
    fates.extend(all(slots.difference(&undecided).copied(), Fate::Committed));
    let found: Vec<Slot> = footers.iter().map(SlotFooter::slot).collect();
    match committer.commit(footers).await {
        Ok(results) => fates.extend(results.iter().map(|(slot, result)| (*slot, fate_of_result(result)))),
        Err(error) => {
            let fate = fate_of_commit(&error);
            warn!(%error, stream.id = %stream_of(slots), slots = found.len(), result = fate.name(), "commit failed");
            fates.extend(all(found, fate));
        }
    }
    for (slot, fate) in &fates {
        if matches!(fate, Fate::Orphan | Fate::UnknownStream | Fate::Gone) {
            warn!(object.key = %slot_key(*slot), result = fate.name(), "ignoring an object that never commits");
        }
    }
    fates
}

/// Those of `slots`, which are of one stream, that its row does not show as committed. Events come again, and agents that commit their own
/// slots are mostly there before the event: one look at a row of Postgres is cheaper than a GET for each.
async fn not_committed(context: &Context, slots: &BTreeSet<Slot>) -> Result<BTreeSet<Slot>, MetastoreError> {
    let stream = stream_of(slots);
    let progress = context.metastore.stream_progress(stream, SlotSeq(0), 0).await?;
    let next_seq = progress.map_or(SlotSeq(0), |progress| progress.next_seq);
    Ok(slots.iter().copied().filter(|slot| slot.seq >= next_seq).collect())
}

/// Footers of `slots`, one suffix-range GET each; fates of those that gave none.
async fn read_footers(committer: &Committer, slots: &BTreeSet<Slot>) -> (Vec<SlotFooter>, BTreeMap<Slot, Fate>) {
    let reads: Vec<_> = slots
        .iter()
        .map(|slot| async { (*slot, committer.read_footer(*slot).await) }.boxed())
        .collect();
    let mut reads = stream::iter(reads).buffer_unordered(FOOTERS_AT_ONCE_MAX);
    let (mut footers, mut fates) = (Vec::new(), BTreeMap::new());
    while let Some((slot, read)) = reads.next().await {
        match read {
            Ok(Some(footer)) => footers.push(footer),
            // S3 is strongly consistent: what an event told of and is not there has been deleted.
            Ok(None) => drop(fates.insert(slot, Fate::Gone)),
            Err(error) => {
                let fate = fate_of_read(&error);
                match fate {
                    Fate::Retry => warn!(%error, object.key = %slot_key(slot), "footer cannot be read now"),
                    _ => {
                        error!(%error, object.key = %slot_key(slot), "ignoring an object that is not what its key says")
                    }
                }
                fates.insert(slot, fate);
            }
        }
    }
    (footers, fates)
}

fn all(slots: impl IntoIterator<Item = Slot>, fate: Fate) -> BTreeMap<Slot, Fate> {
    slots.into_iter().map(|slot| (slot, fate)).collect()
}

fn stream_of(slots: &BTreeSet<Slot>) -> StreamId {
    slots.first().expect("a group has at least one slot").stream
}
