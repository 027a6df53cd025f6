//! The index: offsets without gap or overlap, and each row points at the bytes its batches' footers name.

use std::collections::BTreeMap;

use commit::BatchOutcome;
use metastore::memory::tables::{IndexEntry, Tables};
use object_format::Footer;
use types::{ObjectId, Offset, PartitionIndex, TopicId, TopicNumber};

use crate::scribe::Scribe;

type RowKey = (TopicNumber, PartitionIndex, Offset);

/// The offsets of each partition are 0 up to its end, each in one row.
pub(super) fn check_partitions(tables: &Tables, scribe: &Scribe) {
    let mut next: BTreeMap<(TopicNumber, PartitionIndex), Offset> = BTreeMap::new();
    for ((topic, partition, base), row) in &tables.log_index {
        let next = next.entry((*topic, *partition)).or_insert(Offset(0));
        if base != next || row.next_offset <= *base {
            scribe.violation(format_args!(
                "{topic}/{partition}: a row from {base} to {} where {next} was to come",
                row.next_offset
            ));
        }
        *next = row.next_offset;
    }
    for (key, ends) in &tables.partitions {
        let indexed = next.get(key).copied().unwrap_or(Offset(0));
        if ends.end != indexed {
            let ((topic, partition), end) = (key, ends.end);
            scribe.violation(format_args!(
                "{topic}/{partition}: ends at {end}, and its rows at {indexed}"
            ));
        }
    }
}

/// The rows of an object are made of its appended batches, and of nothing else.
pub(super) fn check_object(tables: &Tables, id: ObjectId, footer: &Footer, scribe: &Scribe) {
    let object = &tables.objects[&id];
    let rows: Vec<(RowKey, &IndexEntry)> = tables
        .log_index
        .iter()
        .filter(|(_, row)| row.object == id)
        .map(|(key, row)| (*key, row))
        .collect();
    if object.outcomes.len() != footer.batches.len() || usize::try_from(object.live_rows) != Ok(rows.len()) {
        scribe.violation(format_args!(
            "slot {}: {} batches, {} outcomes, {} rows of {}",
            object.slot,
            footer.batches.len(),
            object.outcomes.len(),
            rows.len(),
            object.live_rows
        ));
    }
    let mut offsets_of_batches = 0;
    for (batch, outcome) in footer.batches.iter().zip(&object.outcomes) {
        scribe.count(&format!("batch {}", outcome_name(*outcome)));
        let BatchOutcome::Appended(offset) = *outcome else {
            continue;
        };
        offsets_of_batches += batch.offset_span();
        let topic = number_of(tables, footer.topics[batch.topic as usize].id);
        let holds = |((in_topic, partition, base), row): &(RowKey, &IndexEntry)| {
            Some(*in_topic) == topic
                && *partition == batch.partition
                && *base <= offset
                && offset.0 + batch.offset_span() <= row.next_offset.0
                && row.range.start <= batch.range.start
                && batch.range.end <= row.range.end
        };
        if !rows.iter().any(holds) {
            scribe.violation(format_args!(
                "slot {}: no row for the batch at offset {offset}",
                object.slot
            ));
        }
    }
    let offsets_of_rows: i64 = rows.iter().map(|((_, _, base), row)| row.next_offset.0 - base.0).sum();
    if offsets_of_rows != offsets_of_batches {
        scribe.violation(format_args!(
            "slot {}: rows of {offsets_of_rows} offsets for batches of {offsets_of_batches}",
            object.slot
        ));
    }
    check_overlaps(&rows, object.object_bytes, scribe);
}

fn check_overlaps(rows: &[(RowKey, &IndexEntry)], object_bytes: u64, scribe: &Scribe) {
    let mut ranges: Vec<_> = rows.iter().map(|(_, row)| row.range).collect();
    ranges.sort();
    let overlap = ranges.windows(2).find(|pair| pair[0].end > pair[1].start);
    if let Some(pair) = overlap {
        scribe.violation(format_args!(
            "two rows refer to the same bytes: {} and {}",
            pair[0], pair[1]
        ));
    }
    if let Some(last) = ranges.last().filter(|last| last.end > object_bytes) {
        scribe.violation(format_args!(
            "a row refers to {last} of an object of {object_bytes} bytes"
        ));
    }
}

fn number_of(tables: &Tables, id: TopicId) -> Option<TopicNumber> {
    let mut topics = tables.live_topics();
    topics.find(|topic| topic.id == id).map(|topic| topic.number)
}

fn outcome_name(outcome: BatchOutcome) -> &'static str {
    match outcome {
        BatchOutcome::Appended(_) => "appended",
        BatchOutcome::Duplicate(_) => "dropped as duplicate",
        BatchOutcome::DuplicateForgotten => "dropped as old duplicate",
        BatchOutcome::OutOfOrderSequence => "refused: out of order",
        BatchOutcome::InvalidProducerEpoch => "refused: old epoch",
        BatchOutcome::UnknownProducerId => "refused: unknown producer",
        BatchOutcome::TopicDeleted => "refused: topic deleted",
    }
}
