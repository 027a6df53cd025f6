//! Judges what became of a history on Postgres: replayed in the model in the order that Postgres chose it must come out
//! the same, and some things must hold whatever the decision says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use commit::BatchOutcome;
use commit::invoke::SlotResult;
use metastore::memory::tables::{Tables, Topic};
use metastore::memory::{Calm, MemoryMetastore};
use metastore::{LogEnds, Metastore};
use types::{ClusterId, ManualClock, NodeId, Offset, PartitionIndex, Slot, SlotSeq, TimestampMs};
use uuid::Uuid;

use crate::history::{EXPIRY_MS, PAUSE_UNIT_MS, PlannedBatch, PlannedSlot};
use crate::play::{Play, Told};
use crate::recorded::{OnPostgres, Recorded};

/// Panics where something is not as it must be.
pub(crate) async fn judge(play: &Play, told: &Told, postgres: &OnPostgres) {
    check_streams(play, postgres);
    check_told(told, postgres);
    check_offsets(play, postgres);
    crate::sequences::check(play, told, postgres);
    let model = replay(play, told, postgres).await;
    let recorded = &postgres.recorded;
    assert_eq!(recorded.streams, model.streams, "streams");
    assert_eq!(recorded.objects, model.objects, "objects and outcomes");
    assert_eq!(recorded.partitions, model.partitions, "partitions");
    assert_eq!(recorded.index, model.index, "index rows");
    assert_eq!(recorded.producers, model.producers, "producers");
}

/// The planned slots in the order that Postgres chose, each with its outcomes.
pub(crate) fn committed<'a>(
    play: &'a Play,
    postgres: &'a OnPostgres,
) -> impl Iterator<Item = (i64, &'a PlannedSlot, &'a [BatchOutcome])> {
    postgres.order.iter().map(|(id, slot)| {
        let n = play.footers.iter().position(|footer| footer.slot() == *slot);
        let planned = &play.history.slots[n.expect("a slot of this history")];
        (*id, planned, &postgres.recorded.objects[slot].outcomes[..])
    })
}

/// Every stream is committed from its first slot to its tombstone, or as far as anybody could know it, in order.
fn check_streams(play: &Play, postgres: &OnPostgres) {
    for (n, stream) in play.streams.iter().enumerate() {
        let state = postgres.recorded.streams[stream];
        let mut planned = play.history.slots.iter().filter(|slot| slot.stream == n);
        let reached = planned.clone().take_while(|slot| slot.is_reachable()).count();
        let end = planned.position(|slot| slot.tombstone).filter(|end| *end < reached);
        let committed = end.map_or(reached, |end| end + 1) as u64;
        assert_eq!(state.next_seq, SlotSeq(committed), "the gate of stream {n}");
        assert_eq!(
            state.end_seq,
            end.map(|end| SlotSeq(end as u64)),
            "the end of stream {n}"
        );

        let order = postgres.order.iter().filter(|(_, slot)| slot.stream == *stream);
        let order: Vec<u64> = order.map(|(_, slot)| slot.seq.0).collect();
        assert_eq!(order, (0..committed).collect::<Vec<u64>>(), "the order of stream {n}");
        check_pending(play, postgres, n, state.next_seq);
    }
}

/// Behind a hole waits what the last committer brought, and nothing that is committed or can never be.
fn check_pending(play: &Play, postgres: &OnPostgres, n: usize, gate: SlotSeq) {
    let ended = postgres.recorded.streams[&play.streams[n]].end_seq.is_some();
    let of_stream = |slot: &&Slot| slot.stream == play.streams[n];
    let waiting: BTreeSet<SlotSeq> = postgres.pending.iter().filter(of_stream).map(|slot| slot.seq).collect();
    assert!(
        waiting.iter().all(|seq| *seq > gate || ended),
        "stream {n} waits for {gate}: {waiting:?}"
    );
    let last = play
        .history
        .slots
        .iter()
        .rfind(|slot| slot.stream == n && slot.is_reachable());
    if let Some(last) = last.filter(|last| !ended && last.seq > gate.0) {
        assert!(
            waiting.contains(&SlotSeq(last.seq)),
            "slot {} of stream {n} is forgotten",
            last.seq
        );
    }
}

/// Nobody was told anything else than what the tables say.
fn check_told(told: &Told, postgres: &OnPostgres) {
    for (slot, result) in &told.results {
        match result {
            SlotResult::Committed(outcomes) => {
                let object = postgres.recorded.objects.get(slot);
                let kept = object.unwrap_or_else(|| panic!("slot {slot} was told committed and is not"));
                assert_eq!(outcomes, &kept.outcomes, "outcomes of slot {slot}");
            }
            SlotResult::Pending => {}
            SlotResult::Orphan => {
                let end = postgres.recorded.streams[&slot.stream].end_seq;
                assert!(end.is_some_and(|end| slot.seq > end), "slot {slot} is no orphan");
            }
            other => panic!("slot {slot}: {other:?}"),
        }
    }
}

/// Appended batches lie end to end from offset 0 to the partition's end, and so do the index rows.
fn check_offsets(play: &Play, postgres: &OnPostgres) {
    let mut logs: BTreeMap<(usize, i32), BTreeMap<i64, i64>> = BTreeMap::new();
    for (_, planned, outcomes) in committed(play, postgres) {
        assert_eq!(outcomes.len(), planned.batches.len());
        for (batch, outcome) in planned.batches.iter().zip(outcomes) {
            check_plain(play, batch, *outcome);
            if let BatchOutcome::Appended(Offset(base)) = outcome {
                let log = logs.entry((batch.topic, batch.partition)).or_default();
                let before = log.insert(*base, base + batch.count as i64);
                assert_eq!(before, None, "offset {base} was given twice");
            }
        }
    }
    for (topic, info) in play.topics.iter().enumerate() {
        for partition in 0..info.partition_count {
            let key = (info.number, PartitionIndex(partition));
            let log = logs.remove(&(topic, partition)).unwrap_or_default();
            let end = end_to_end(log.into_iter());
            let rows = postgres
                .recorded
                .index
                .range((key, Offset(0))..=(key, Offset(i64::MAX)));
            let index_end = end_to_end(rows.map(|((_, base), row)| (base.0, row.next_offset.0)));
            assert_eq!(index_end, end, "the index of {key:?} ends where its batches do");
            if let Some(ends) = postgres.recorded.partitions.get(&key) {
                assert_eq!(ends.end.0, end, "the end of {key:?}");
            }
        }
    }
    assert!(logs.is_empty(), "batches in partitions that never were: {logs:?}");
}

fn end_to_end(ranges: impl Iterator<Item = (i64, i64)>) -> i64 {
    let mut end = 0;
    for (base, next) in ranges {
        assert_eq!(base, end, "offsets have no gap and no overlap");
        end = next;
    }
    end
}

/// A plain batch is never refused.
fn check_plain(play: &Play, batch: &PlannedBatch, outcome: BatchOutcome) {
    if batch.producer.0 < 0 {
        let in_topic = play.topics[batch.topic].has_partition(PartitionIndex(batch.partition));
        let fits = match outcome {
            BatchOutcome::Appended(_) => in_topic,
            BatchOutcome::TopicDeleted => true,
            _ => false,
        };
        assert!(fits, "{batch:?} came out as {outcome:?}");
    }
}

/// Commits the same slots one by one in the model, in the order of Postgres's objects; topics are deleted where the
/// first batch says so, and time passes where a phase ended.
async fn replay(play: &Play, told: &Told, postgres: &OnPostgres) -> Recorded {
    let clock = Arc::new(ManualClock::new(TimestampMs(0)));
    let database = MemoryMetastore::new(ClusterId(Uuid::nil()), Arc::clone(&clock) as _);
    database.tamper(|tables| copy_topics(tables, play));
    let model = database.connect(Arc::new(Calm));
    for stream in &play.streams {
        model
            .open_stream(*stream, NodeId(0))
            .await
            .expect("the weather is calm");
    }
    let mut phase_ends = told.phase_ends.iter().peekable();
    for (id, planned, outcomes) in committed(play, postgres) {
        while let Some((_, units)) = phase_ends.next_if(|(last, _)| *last < id) {
            clock.advance_ms(units * PAUSE_UNIT_MS);
        }
        delete_topics(play, planned, outcomes, &model).await;
        let at = (play.streams[planned.stream], SlotSeq(planned.seq));
        let footer = play
            .footers
            .iter()
            .find(|footer| (footer.slot().stream, footer.slot().seq) == at);
        let footers = [footer.expect("a slot of this history").clone()];
        let transacted = model
            .commit_transaction(&footers, EXPIRY_MS)
            .await
            .expect("the weather is calm");
        let (slot, verdict) = &transacted.decision.verdicts[0];
        assert_eq!(
            *verdict,
            commit::SlotVerdict::Committed(outcomes.to_vec()),
            "slot {slot}"
        );
    }
    for (_, units) in phase_ends {
        clock.advance_ms(units * PAUSE_UNIT_MS);
    }
    let mut tables = database.tables();
    // A topic deleted after the last commit that names it.
    tables
        .partitions
        .retain(|key, _| postgres.recorded.partitions.contains_key(key));
    Recorded::of_model(tables, types::Clock::now(&*clock))
}

/// The topics under the numbers and ids they have in Postgres.
fn copy_topics(tables: &mut Tables, play: &Play) {
    for info in &play.topics {
        let topic = Topic {
            info: info.clone(),
            deleted: false,
        };
        tables.topics.insert(info.number, topic);
        let empty = LogEnds {
            log_start: Offset(0),
            end: Offset(0),
            max_timestamp: TimestampMs(-1),
        };
        for index in 0..info.partition_count {
            tables.partitions.insert((info.number, PartitionIndex(index)), empty);
        }
    }
}

async fn delete_topics(play: &Play, planned: &PlannedSlot, outcomes: &[BatchOutcome], model: &Metastore) {
    for (batch, outcome) in planned.batches.iter().zip(outcomes) {
        let topic = &play.topics[batch.topic];
        if *outcome == BatchOutcome::TopicDeleted && topic.has_partition(PartitionIndex(batch.partition)) {
            model.delete_topic(topic.id).await.expect("the weather is calm");
        }
    }
}
