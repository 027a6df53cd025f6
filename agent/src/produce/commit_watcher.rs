//! Sees to it that every slot of ours gets committed, and tells the writer what became of its batches.
//!
//! `inline` commits itself, `invoke` asks the function, `event` waits for the function to do it by itself. Whatever the
//! path, each slot is watched until the row shows it, and one that is late is committed here (docs/ARCHITECTURE.md). One
//! commit is in flight per stream; it carries every slot decided since the last one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use commit::invoke::SlotResult;
use commit::{BatchOutcome, SlotFooter};
use daemon::Tasks;
use metastore::{Committer, Metastore};
use metrics::{counter, gauge, histogram};
use object_format::slot_key;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{error, warn};
use types::{Entropy, Slot, SlotSeq, StreamId};

use crate::config::CommitPath;
use crate::costs::Costs;
use crate::hints::{CommitSignal, SignalListener};
use crate::metrics::{COMMIT_LAG, INVOKE_FAILURES, REFUSED_SLOTS, STALLED_COMMITS, UNSEQUENCED_AGE};
use crate::produce::invoke::{self, CommitFunction};

/// Most slots of one commit.
const SLOTS_MAX: usize = 64;
/// Most bytes of footers in one commit: an invocation takes 6 MB, in which they stand as base64.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const FOOTER_BYTES_MAX: usize = 4 << 20;
/// Wait after a failed commit or question; doubles up to the largest.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A slot that has been committed.
#[derive(Clone, Debug)]
pub struct CommittedSlot {
    /// Which one.
    pub slot: Slot,
    /// One per batch, in the order of the footer.
    pub outcomes: Vec<BatchOutcome>,
}

/// Everything a watcher needs; one per open stream.
#[derive(Clone, Debug)]
pub struct CommitWatcher {
    /// Who commits first.
    pub path: CommitPath,
    /// Commits from here.
    pub committer: Committer,
    /// Where the row is looked at.
    pub metastore: Metastore,
    /// Needed by `invoke`.
    pub function: Option<Arc<dyn CommitFunction>>,
    /// Age at which a slot is late; `None`: never.
    pub stall: Option<Duration>,
    /// How often the row is looked at without a hint.
    pub interval: Duration,
    /// Most batches of one commit.
    pub batches_max: usize,
    /// Hints, taken and given.
    pub signal: CommitSignal,
    /// Where it is said what is paid for.
    pub costs: Arc<Costs>,
    /// Spreads retries.
    pub entropy: Arc<dyn Entropy>,
    /// Where hints are sent from. When these tasks are told to end, the agent stops: from then on every slot is late,
    /// so that producers hear before it is gone.
    pub tasks: Tasks,
}

struct WaitingSlot {
    footer: SlotFooter,
    since: Instant,
}

impl CommitWatcher {
    /// Runs until `decided` is closed and everything in it is committed. Slots must come in order, each once it and
    /// all before it are ours. Safe to abort: commits are idempotent.
    pub async fn run(self, mut decided: Receiver<SlotFooter>, committed: Sender<CommittedSlot>) {
        let mut waiting: VecDeque<WaitingSlot> = VecDeque::new();
        let mut hints = self.signal.subscribe();
        let mut pause = WAIT_MIN;
        loop {
            show_age(&waiting);
            if waiting.is_empty() {
                let Some(footer) = decided.recv().await else { return };
                waiting.push_back(WaitingSlot {
                    footer,
                    since: Instant::now(),
                });
            }
            while let Ok(footer) = decided.try_recv() {
                waiting.push_back(WaitingSlot {
                    footer,
                    since: Instant::now(),
                });
            }
            match self.advance(&waiting, &mut hints).await {
                Ok(done) => {
                    pause = WAIT_MIN;
                    for slot in done {
                        waiting.retain(|waiting| {
                            let is_done = waiting.footer.slot() == slot.slot;
                            if is_done {
                                histogram!(COMMIT_LAG).record(waiting.since.elapsed());
                            }
                            !is_done
                        });
                        if committed.send(slot).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    warn!(%error, slots = waiting.len(), wait_ms = pause.as_millis(), "slots are not committed yet");
                    sleep(self.entropy.jitter(pause)).await;
                    pause = (pause * 2).min(WAIT_MAX);
                }
            }
        }
    }

    /// One step: commits, or waits a moment and looks.
    async fn advance(
        &self,
        waiting: &VecDeque<WaitingSlot>,
        hints: &mut SignalListener,
    ) -> anyhow::Result<Vec<CommittedSlot>> {
        match (self.path, &self.function) {
            (CommitPath::Inline, _) => self.commit_here(waiting).await,
            (CommitPath::Invoke, Some(function)) => {
                let invoking = self.until_late(waiting, self.commit_by(function.as_ref(), waiting));
                let invoked = invoking.await.unwrap_or_else(|| Err(anyhow!("no answer in time")));
                match invoked {
                    Ok(done) if !done.is_empty() => return Ok(done),
                    Ok(_) => {}
                    Err(error) => {
                        counter!(INVOKE_FAILURES).increment(1);
                        let error = format!("{error:#}");
                        warn!(error, "the function did not commit, waiting for its event");
                    }
                }
                self.watch(waiting, hints).await
            }
            (CommitPath::Event | CommitPath::Invoke, _) => self.watch(waiting, hints).await,
        }
    }

    /// `work`, unless the first slot becomes late meanwhile, or the agent stops: then we commit ourselves. An invocation that is
    /// dropped may still happen.
    async fn until_late<T>(&self, waiting: &VecDeque<WaitingSlot>, work: impl Future<Output = T>) -> Option<T> {
        let work = self.tasks.shutdown().run_until_cancelled(work);
        match self.stall.zip(waiting.front()) {
            Some((stall, first)) => timeout_at(first.since + stall, work).await.ok().flatten(),
            None => work.await,
        }
    }

    async fn commit_here(&self, waiting: &VecDeque<WaitingSlot>) -> anyhow::Result<Vec<CommittedSlot>> {
        let results = self.committer.commit_without_hint(self.next_slots(waiting)).await?;
        self.signal.raise();
        // Other agents' readers are told while our producers already are.
        let committer = self.committer.clone();
        self.tasks
            .spawn("commit hint", async move { committer.send_hint().await });
        let done: Vec<_> = results
            .into_iter()
            .filter_map(|(slot, result)| committed(slot, result))
            .collect();
        // An error, so that the next try waits a little.
        ensure!(!done.is_empty(), "the commit took none of the slots");
        Ok(done)
    }

    async fn commit_by(
        &self,
        function: &dyn CommitFunction,
        waiting: &VecDeque<WaitingSlot>,
    ) -> anyhow::Result<Vec<CommittedSlot>> {
        let slots = self.next_slots(waiting);
        self.costs.invocation(&slots);
        let response = invoke::commit(function, &slots).await?;
        self.signal.raise();
        let answered = slots.iter().zip(response.slots);
        let matching = answered.filter(|(slot, answer)| slot_key(slot.slot()) == answer.key);
        Ok(matching
            .filter_map(|(slot, answer)| committed(slot.slot(), answer.result))
            .collect())
    }

    /// Waits for a hint or the interval, then looks at the row; commits what is late.
    async fn watch(
        &self,
        waiting: &VecDeque<WaitingSlot>,
        hints: &mut SignalListener,
    ) -> anyhow::Result<Vec<CommittedSlot>> {
        // Running out of time is the normal case.
        let woken = self.tasks.shutdown().run_until_cancelled(hints.changed());
        let _ = timeout(self.interval, woken).await;
        let Some(first) = waiting.front() else {
            return Ok(Vec::new());
        };
        let mut done = self.look(first.footer.slot()).await?;
        // The function may be ahead of us: what we were not given yet is looked for again once we are.
        done.retain(|done| waiting.iter().any(|waiting| waiting.footer.slot() == done.slot));
        let is_late = self.stall.is_some_and(|stall| first.since.elapsed() >= stall);
        if done.is_empty() && is_late {
            counter!(STALLED_COMMITS).increment(1);
        }
        if done.is_empty() && (is_late || self.tasks.shutdown().is_cancelled()) {
            return self.commit_here(waiting).await;
        }
        Ok(done)
    }

    async fn look(&self, first: Slot) -> anyhow::Result<Vec<CommittedSlot>> {
        let Slot { stream, seq } = first;
        let progress = self.metastore.stream_progress(stream, seq, SLOTS_MAX as i64).await?;
        let outcomes = progress.map(|progress| progress.outcomes).unwrap_or_default();
        if !outcomes.is_empty() {
            self.signal.raise();
        }
        Ok(outcomes
            .into_iter()
            .map(|(seq, outcomes)| slot_of(stream, seq, outcomes))
            .collect())
    }

    fn next_slots(&self, waiting: &VecDeque<WaitingSlot>) -> Vec<SlotFooter> {
        let (mut batches, mut bytes) = (0, 0);
        let fits = |slot: &&WaitingSlot| {
            let first = batches == 0;
            batches += slot.footer.footer.batches.len().max(1);
            bytes += slot.footer.tail.len();
            first || (batches <= self.batches_max && bytes <= FOOTER_BYTES_MAX)
        };
        waiting
            .iter()
            .take(SLOTS_MAX)
            .take_while(fits)
            .map(|slot| slot.footer.clone())
            .collect()
    }
}

fn show_age(waiting: &VecDeque<WaitingSlot>) {
    let age = waiting.front().map_or(Duration::ZERO, |first| first.since.elapsed());
    gauge!(UNSEQUENCED_AGE, "of" => "own").set(age.as_secs_f64());
}

fn slot_of(stream: StreamId, seq: SlotSeq, outcomes: Vec<BatchOutcome>) -> CommittedSlot {
    CommittedSlot {
        slot: Slot { stream, seq },
        outcomes,
    }
}

fn committed(slot: Slot, result: SlotResult) -> Option<CommittedSlot> {
    match result {
        SlotResult::Committed(outcomes) => Some(CommittedSlot { slot, outcomes }),
        SlotResult::Pending => None,
        // The slot is ours and so are all before it: its stream cannot have ended there.
        SlotResult::Orphan | SlotResult::UnknownStream | SlotResult::Rejected(_) => {
            error!(%slot, ?result, "a slot of ours was not committed");
            counter!(REFUSED_SLOTS).increment(1);
            None
        }
    }
}
