//! Streams: their slots are committed without a hole up to a tombstone, and what lies behind it is committed nowhere.

use std::collections::BTreeSet;

use metastore::memory::tables::{Stream, Tables};
use object_format::Kind;
use types::{Slot, SlotSeq, StreamId};

use crate::scribe::Scribe;

/// Checks every stream against its objects.
pub(super) fn check(tables: &Tables, taken: &BTreeSet<Slot>, scribe: &Scribe) {
    for (stream, row) in &tables.streams {
        check_stream(tables, *stream, row, scribe);
    }
    for slot in taken {
        match tables.streams.get(&slot.stream) {
            None => scribe.violation(format_args!("slot {slot} is taken, and its stream has no row")),
            Some(row) if row.state.end_seq.is_some_and(|end| slot.seq > end) => scribe.count("orphans"),
            Some(row) if slot.seq >= row.state.next_seq => {
                scribe.violation(format_args!("slot {slot} is taken and not committed"));
            }
            Some(_) => {}
        }
    }
}

fn check_stream(tables: &Tables, stream: StreamId, row: &Stream, scribe: &Scribe) {
    let first = Slot {
        stream,
        seq: SlotSeq(0),
    };
    let last = Slot {
        stream,
        seq: SlotSeq(u64::MAX),
    };
    let committed: Vec<SlotSeq> = tables
        .objects_by_slot
        .range(first..=last)
        .map(|(slot, _)| slot.seq)
        .collect();
    let expected: Vec<SlotSeq> = (0..row.state.next_seq.0).map(SlotSeq).collect();
    if committed != expected {
        let next = row.state.next_seq;
        scribe.violation(format_args!(
            "stream {stream} has the gate at {next} and the objects {committed:?}"
        ));
    }
    let Some(end) = row.state.end_seq else {
        return scribe.violation(format_args!("stream {stream} has no end"));
    };
    scribe.count("streams");
    if end.next() != row.state.next_seq {
        scribe.violation(format_args!(
            "stream {stream} ends at {end} and goes on to {}",
            row.state.next_seq
        ));
    }
    for seq in committed {
        let object = &tables.objects[&tables.objects_by_slot[&Slot { stream, seq }]];
        if (object.kind == Kind::Tombstone) != (seq == end) {
            scribe.violation(format_args!(
                "slot {stream}/{seq} of a stream that ends at {end} is a {:?}",
                object.kind
            ));
        }
    }
}
