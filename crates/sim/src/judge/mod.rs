//! Says whether a run kept every promise: the oracle over what clients sent and read, and a look at bucket and metastore.

mod index;
mod streams;

use std::collections::BTreeSet;

use anyhow::Context;
use metastore::memory::tables::Tables;
use metastore::read_slot_footer;
use object_format::parse_slot_key;
use oracle::{Judgement, MemoryLedger};
use storage::ObjectStore;
use types::{ClusterId, Slot};

use crate::scribe::Scribe;

/// Lets the oracle judge the ledger.
pub fn clients(ledger: MemoryLedger, idempotent: &BTreeSet<u32>, scribe: &Scribe) {
    let Judgement { totals, verdicts } = match ledger.judge(idempotent) {
        Ok(judgement) => judgement,
        Err(error) => return scribe.violation(format_args!("the oracle cannot judge: {error:#}")),
    };
    for verdict in verdicts.iter().filter(|verdict| !verdict.passed()) {
        let (invariant, violations) = (verdict.invariant, verdict.violations);
        scribe.violation(format_args!(
            "{invariant}: {violations} violations; {}",
            verdict.samples.join("; ")
        ));
    }
    scribe.add("records read", totals.read);
    scribe.add("records there twice by retries", totals.extra_copies);
}

/// Whether nothing is left to be done: no slot waits, what lies in the bucket is decided in the metastore, and streams without
/// an end belong to agents that live. Says what is missing.
pub async fn unfinished(tables: &Tables, bucket: &dyn ObjectStore, all_ended: bool) -> anyhow::Result<Option<String>> {
    if let Some(slot) = tables.pending_slots.keys().next() {
        return Ok(Some(format!("slot {slot} is pending")));
    }
    for (stream, row) in &tables.streams {
        let held = tables.agents.values().any(|lease| lease.stream == Some(*stream));
        if row.state.end_seq.is_none() && (all_ended || !held) {
            return Ok(Some(format!("stream {stream} of nobody has no end")));
        }
    }
    for slot in slots_in(bucket).await? {
        let row = tables.streams.get(&slot.stream);
        if row.is_none_or(|row| row.state.end_seq.is_none() && slot.seq >= row.state.next_seq) {
            return Ok(Some(format!("slot {slot} is not committed")));
        }
    }
    Ok(None)
}

/// Looks at everything that the metastore and the bucket hold.
pub async fn insides(
    tables: &Tables,
    cluster: ClusterId,
    bucket: &dyn ObjectStore,
    scribe: &Scribe,
) -> anyhow::Result<()> {
    let slots = slots_in(bucket).await?;
    streams::check(tables, &slots, scribe);
    for (id, object) in &tables.objects {
        match read_slot_footer(bucket, cluster, object.slot).await {
            Ok(Some(footer)) => {
                if (footer.footer.kind, footer.object_bytes) != (object.kind, object.object_bytes) {
                    scribe.violation(format_args!(
                        "the object in slot {} is not the one that was committed",
                        object.slot
                    ));
                }
                index::check_object(tables, *id, &footer.footer, scribe);
            }
            Ok(None) => scribe.violation(format_args!("the {:?} in slot {} is gone", object.kind, object.slot)),
            Err(error) => scribe.violation(format_args!("slot {}: {error}", object.slot)),
        }
    }
    index::check_partitions(tables, scribe);
    Ok(())
}

/// Every slot that is taken, in order.
async fn slots_in(bucket: &dyn ObjectStore) -> anyhow::Result<BTreeSet<Slot>> {
    let mut slots = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let listed = bucket.list("data/", after.as_deref()).await?;
        let Some(last) = listed.last() else { return Ok(slots) };
        after = Some(last.key.to_string());
        for object in &listed {
            let slot = parse_slot_key(object.key.as_str());
            slots.insert(slot.with_context(|| format!("key {}", object.key))?);
        }
    }
}
