//! The sweep's questions in memory.

use std::cmp::Reverse;

use async_trait::async_trait;
use types::{SlotSeq, StreamId, TimestampMs};

use super::Connection;
use super::tables::{Stream, Tables};
use crate::{DeadStream, MetastoreError, Sweeps};

#[async_trait]
impl Sweeps for Connection {
    async fn dead_streams(&self, grace_ms: i64, streams_max: i64) -> Result<Vec<DeadStream>, MetastoreError> {
        let look = self.call("dead_streams", |tables, now| {
            let long_ago = TimestampMs(now.0 - grace_ms);
            let mut dead: Vec<(&StreamId, &Stream)> = tables
                .streams
                .iter()
                .filter(|(stream, row)| tables.is_dead(**stream, row, now, long_ago))
                .collect();
            // Not swept yet first, then those swept last; stable, so that the rest is by stream id.
            dead.sort_by_key(|(_, row)| (row.swept.is_some(), Reverse(row.swept.map(|(_, at)| at))));
            dead.truncate(usize::try_from(streams_max).unwrap_or(0));
            dead.into_iter()
                .map(|(stream, row)| dead_stream(*stream, row, long_ago))
                .collect()
        });
        look.await
    }

    async fn note_swept(&self, stream: StreamId, seq: SlotSeq) -> Result<(), MetastoreError> {
        let note = self.call("note_swept", |tables, now| {
            let row = tables.streams.get_mut(&stream);
            let open = row.filter(|row| row.state.end_seq.is_none());
            if let Some(row) = open.filter(|row| row.swept.is_none_or(|(seen, _)| seen != seq)) {
                row.swept = Some((seq, now));
            }
        });
        note.await
    }
}

impl Tables {
    fn is_dead(&self, stream: StreamId, row: &Stream, now: TimestampMs, long_ago: TimestampMs) -> bool {
        let held = || {
            let mut leases = self.agents.values();
            leases.any(|lease| lease.stream == Some(stream) && lease.is_live(now))
        };
        row.state.end_seq.is_none() && row.opened_at <= long_ago && !held()
    }
}

fn dead_stream(stream: StreamId, row: &Stream, long_ago: TimestampMs) -> DeadStream {
    let next_seq = row.state.next_seq;
    DeadStream {
        stream,
        next_seq,
        stood_still: row.swept.is_some_and(|(seq, at)| seq == next_seq && at <= long_ago),
    }
}
