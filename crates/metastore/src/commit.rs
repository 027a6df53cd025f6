//! The one way to commit slots, for agent, function and sweep alike: whoever comes second finds it done.
//!
//! Slots of a stream commit in order without a hole. A slot that comes before its predecessors makes us read their
//! footers from S3, at most [`MISSING_FOOTERS_MAX`] at a time; only where S3 says 404 does the slot wait, its footer kept
//! in `pending_slots`. So a late event delays its stream only until the stream's next event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::commit::invoke::SlotResult;
use ::commit::{SlotFooter, SlotVerdict};
use ::metrics::{counter, histogram};
use futures::future::join_all;
use object_format::{Kind, TRACE_CONTEXT_TAG};
use storage::ObjectStore;
use telemetry::TraceContext;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug, debug_span, error, warn};
use types::limits::{MISSING_FOOTERS_MAX, PRODUCER_ID_EXPIRY_MS};
use types::{ClusterId, Slot, SlotSeq, StreamId};

use crate::metrics::{COMMIT_DURATION, COMMIT_SLOTS, ORPHANS, UNREADABLE_SLOTS};
use crate::{Metastore, MetastoreError, SlotReadError, Transacted, read_slot_footer};

/// Tries of one transaction while Postgres says "not now" (deadlock, lock timeout, fail-over). The whole of them fits
/// the function's timeout of 10 s.
const TRANSACTION_TRIES: u32 = 4;
/// Wait before the second try; doubles.
const RETRY_WAIT: Duration = Duration::from_millis(50);
/// Most slots of one transaction: bounds how long it holds its partition locks.
const SLOTS_PER_TRANSACTION_MAX: usize = 64;
/// Most batches of one transaction, for the same reason; one slot's are always taken.
const BATCHES_PER_TRANSACTION_MAX: usize = 8192;

/// Why slots could not be committed; those before them may have been.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Postgres failed.
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    /// The footer of an earlier slot could not be read.
    #[error("footer of an earlier slot: {0}")]
    Slot(#[from] SlotReadError),
}

impl CommitError {
    /// Whether the same commit may succeed later without anybody acting.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Metastore(error) => matches!(error, MetastoreError::Unavailable(_)),
            Self::Slot(error) => error.is_retriable(),
        }
    }
}

/// Commits slots of one cluster.
#[derive(Clone, Debug)]
pub struct Committer {
    metastore: Metastore,
    store: Arc<dyn ObjectStore>,
    cluster: ClusterId,
    producer_expiry_ms: i64,
}

impl Committer {
    /// A committer with Kafka's default producer expiry.
    pub fn new(metastore: Metastore, store: Arc<dyn ObjectStore>, cluster: ClusterId) -> Self {
        Self {
            metastore,
            store,
            cluster,
            producer_expiry_ms: PRODUCER_ID_EXPIRY_MS,
        }
    }

    /// The same with another producer expiry.
    #[must_use]
    pub fn with_producer_expiry_ms(self, producer_expiry_ms: i64) -> Self {
        Self {
            producer_expiry_ms,
            ..self
        }
    }

    /// The cluster whose slots this commits.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Footer of the object in `slot`, `None` when the slot is free.
    pub async fn read_footer(&self, slot: Slot) -> Result<Option<SlotFooter>, SlotReadError> {
        read_slot_footer(self.store.as_ref(), self.cluster, slot).await
    }

    /// Commits `slots`, in any order and of any streams, and whatever follows them without a hole. Says for each given
    /// slot what became of it. Safe to repeat, and safe to cancel: a transaction happens whole or not at all.
    pub async fn commit(&self, slots: Vec<SlotFooter>) -> Result<BTreeMap<Slot, SlotResult>, CommitError> {
        let (results, committed_any) = self.commit_all(slots).await?;
        // A second delivery commits nothing, and wakes nobody.
        if committed_any {
            self.send_hint().await;
        }
        Ok(results)
    }

    /// Tells every agent that something was committed. A hint only: who misses it polls.
    pub async fn send_hint(&self) {
        if let Err(error) = self.metastore.notify_commit("").await {
            debug!(%error, "commit hint was not sent");
        }
    }

    /// The same as [`Self::commit`]; the caller sends the hint.
    pub async fn commit_without_hint(&self, slots: Vec<SlotFooter>) -> Result<BTreeMap<Slot, SlotResult>, CommitError> {
        let (results, _) = self.commit_all(slots).await?;
        Ok(results)
    }

    /// Results of `slots`, and whether anything was committed by us.
    async fn commit_all(&self, slots: Vec<SlotFooter>) -> Result<(BTreeMap<Slot, SlotResult>, bool), CommitError> {
        let span = debug_span!("commit", slots = slots.len());
        telemetry::follow(&span, slots.iter().filter_map(trace_of));
        self.commit_each(slots).instrument(span).await
    }

    async fn commit_each(&self, slots: Vec<SlotFooter>) -> Result<(BTreeMap<Slot, SlotResult>, bool), CommitError> {
        let wanted: BTreeSet<Slot> = slots.iter().map(SlotFooter::slot).collect();
        let mut results = BTreeMap::new();
        let mut queue: BTreeMap<Slot, SlotFooter> = slots.into_iter().map(|slot| (slot.slot(), slot)).collect();
        let mut committed_any = false;
        while !queue.is_empty() {
            let work = take_work(&mut queue);
            let transacted = self.transact(&work).await?;
            committed_any |= !transacted.decision.objects.is_empty();
            note_results(&transacted, &mut results);
            self.record_orphans(&orphans(&work, &transacted)).await?;
            match self.next_work(&work, &transacted).await {
                Ok(next) => queue.extend(next),
                // What follows was not asked for: it may not cost those their answer whose slots are committed.
                Err(error) if wanted.iter().all(|slot| is_final(results.get(slot))) => {
                    warn!(%error, "slots that follow are not committed yet");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        results.retain(|slot, _| wanted.contains(slot));
        Ok((results, committed_any))
    }

    /// Records slots past their stream's end, for the sweep to delete some day. How many of them are new.
    pub async fn record_orphans(&self, slots: &[Slot]) -> Result<u64, MetastoreError> {
        if slots.is_empty() {
            return Ok(0);
        }
        let new = self.metastore.record_orphans(slots).await?;
        counter!(ORPHANS).increment(new);
        Ok(new)
    }

    /// The same for those that are pending past an end.
    pub async fn orphan_pending(&self) -> Result<u64, MetastoreError> {
        let new = self.metastore.orphan_pending().await?;
        counter!(ORPHANS).increment(new);
        Ok(new)
    }

    async fn transact(&self, work: &[SlotFooter]) -> Result<Transacted, MetastoreError> {
        let mut wait = RETRY_WAIT;
        for _ in 1..TRANSACTION_TRIES {
            match self.transact_once(work).await {
                Err(MetastoreError::Unavailable(reason)) => {
                    warn!(error = %reason, wait_ms = wait.as_millis(), "commit will be tried again");
                    sleep(wait).await;
                    wait *= 2;
                }
                done => return done,
            }
        }
        self.transact_once(work).await
    }

    async fn transact_once(&self, work: &[SlotFooter]) -> Result<Transacted, MetastoreError> {
        let started = Instant::now();
        let result = self.metastore.commit_transaction(work, self.producer_expiry_ms).await;
        let outcome = if result.is_ok() { "ok" } else { "error" };
        histogram!(COMMIT_DURATION, "result" => outcome).record(started.elapsed().as_secs_f64());
        if let Ok(transacted) = &result {
            counter!(COMMIT_SLOTS).increment(transacted.decision.objects.len() as u64);
        }
        result
    }

    /// What to commit next: for every stream that still has slots above its gate, the slots from the gate on.
    async fn next_work(
        &self,
        work: &[SlotFooter],
        transacted: &Transacted,
    ) -> Result<BTreeMap<Slot, SlotFooter>, CommitError> {
        let mut next = BTreeMap::new();
        for (&stream, state) in &transacted.streams {
            if state.end_seq.is_some() {
                continue;
            }
            let ours: Vec<&SlotFooter> = work
                .iter()
                .filter(|s| s.slot().stream == stream && s.slot().seq >= state.next_seq)
                .collect();
            let kept = transacted
                .pending
                .get(&stream)
                .and_then(|seqs| seqs.range(state.next_seq..).next().copied());
            let first = ours.iter().map(|s| s.slot().seq).chain(kept).min();
            let Some(first) = first else { continue };
            let found = self.close_hole(stream, state.next_seq, first).await?;
            let waits = found.is_empty() && first > state.next_seq;
            if waits && self.keep_pending(stream, state.next_seq, &ours).await? {
                continue;
            }
            let pending = self
                .metastore
                .pending_slots(stream, first, MISSING_FOOTERS_MAX as i64)
                .await?;
            let all = found.into_iter().chain(pending).chain(ours.into_iter().cloned());
            next.extend(all.map(|slot| (slot.slot(), slot)));
        }
        Ok(next)
    }

    /// Footers of the free-looking slots `from..to`, as far as they are there without a hole.
    async fn close_hole(&self, stream: StreamId, from: SlotSeq, to: SlotSeq) -> Result<Vec<SlotFooter>, SlotReadError> {
        let to = to.0.min(from.0 + MISSING_FOOTERS_MAX as u64);
        let slots = (from.0..to).map(|seq| Slot {
            stream,
            seq: SlotSeq(seq),
        });
        let read = join_all(slots.map(|slot| self.read_footer(slot))).await;
        let mut footers = Vec::new();
        for footer in read {
            match footer {
                Ok(Some(footer)) => footers.push(footer),
                Ok(None) => break,
                Err(error) if footers.is_empty() => {
                    if !error.is_retriable() {
                        counter!(UNREADABLE_SLOTS, "reason" => error.reason()).increment(1);
                        error!(stream.id = %stream, %error, "a slot cannot be read, its stream stands still");
                    }
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        Ok(footers)
    }

    /// Keeps `ours` as pending behind the free slot at `gate`; false when the gate has moved meanwhile, and we must go
    /// on ourselves.
    async fn keep_pending(
        &self,
        stream: StreamId,
        gate: SlotSeq,
        ours: &[&SlotFooter],
    ) -> Result<bool, MetastoreError> {
        if ours.is_empty() {
            return Ok(true);
        }
        let ours: Vec<SlotFooter> = ours.iter().map(|slot| (*slot).clone()).collect();
        self.metastore.keep_pending(stream, gate, &ours).await
    }
}

/// What the object was written as a part of.
fn trace_of(slot: &SlotFooter) -> Option<TraceContext> {
    TraceContext::parse(slot.footer.tags.get(&TRACE_CONTEXT_TAG)?)
}

/// Takes the first slots out of `queue`, as many as one transaction may have.
fn take_work(queue: &mut BTreeMap<Slot, SlotFooter>) -> Vec<SlotFooter> {
    let mut work = Vec::new();
    let mut batches = 0;
    while let Some(entry) = queue.first_entry() {
        batches += entry.get().footer.batches.len();
        let full = work.len() >= SLOTS_PER_TRANSACTION_MAX || batches > BATCHES_PER_TRANSACTION_MAX;
        if full && !work.is_empty() {
            break;
        }
        work.push(entry.remove());
    }
    work
}

/// Slots of `work` that never commit. Tombstones are left out: they are never deleted.
fn orphans(work: &[SlotFooter], transacted: &Transacted) -> Vec<Slot> {
    let verdicts = transacted.decision.verdicts.iter();
    let past: BTreeSet<Slot> = verdicts
        .filter(|(_, verdict)| *verdict == SlotVerdict::Orphan)
        .map(|(slot, _)| *slot)
        .collect();
    let data = work.iter().filter(|slot| slot.footer.kind == Kind::Data);
    data.map(SlotFooter::slot).filter(|slot| past.contains(slot)).collect()
}

fn is_final(result: Option<&SlotResult>) -> bool {
    result.is_some_and(|result| *result != SlotResult::Pending)
}

fn note_results(transacted: &Transacted, results: &mut BTreeMap<Slot, SlotResult>) {
    for (slot, verdict) in &transacted.decision.verdicts {
        let result = match verdict {
            SlotVerdict::Committed(outcomes) => SlotResult::Committed(outcomes.clone()),
            SlotVerdict::AlreadyCommitted => match transacted.earlier.get(slot) {
                Some(outcomes) => SlotResult::Committed(outcomes.clone()),
                None => SlotResult::Rejected("committed, but its outcomes are gone".to_owned()),
            },
            SlotVerdict::Pending(_) => SlotResult::Pending,
            SlotVerdict::Orphan => SlotResult::Orphan,
            SlotVerdict::UnknownStream => SlotResult::UnknownStream,
        };
        results.insert(*slot, result);
    }
}
