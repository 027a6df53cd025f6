//! The commit transaction as its callers see it: what it is given, what it must do, what it tells.
//! [`Committer`](crate::Committer) is the one that calls it; everybody else calls the committer.

use std::collections::{BTreeMap, BTreeSet};

use ::commit::{BatchOutcome, Decision, SlotFooter, StreamState};
use async_trait::async_trait;
use types::{Slot, SlotSeq, StreamId};

use crate::MetastoreError;

/// What one transaction found and did.
#[derive(Debug)]
pub struct Transacted {
    /// The verdicts.
    pub decision: Decision,
    /// The streams' rows afterwards.
    pub streams: BTreeMap<StreamId, StreamState>,
    /// Slots that wait for a predecessor, per stream.
    pub pending: BTreeMap<StreamId, BTreeSet<SlotSeq>>,
    /// Outcomes of slots that an earlier commit has.
    pub earlier: BTreeMap<Slot, Vec<BatchOutcome>>,
}

/// Commits of slots, and the slots that wait for one.
#[async_trait]
pub trait Commits {
    /// Commits what of `slots` can be committed now, whole or not at all: what `commit::decide` says over the rows as
    /// they stand while nobody else can change them. Run again after a lost answer, it finds the work done.
    async fn commit_transaction(
        &self,
        slots: &[SlotFooter],
        producer_expiry_ms: i64,
    ) -> Result<Transacted, MetastoreError>;

    /// Footers of pending slots of `stream` in `from..`, in order, at most `slots_max`.
    async fn pending_slots(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Vec<SlotFooter>, MetastoreError>;

    /// Keeps the footers of slots of `stream` behind a missing one at `gate`. False, and nothing is kept, when the gate
    /// stands there no more: whoever moved it looked for pending slots before these were there.
    async fn keep_pending(&self, stream: StreamId, gate: SlotSeq, slots: &[SlotFooter])
    -> Result<bool, MetastoreError>;
}
