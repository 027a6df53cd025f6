//! Which bytes to read for a fetch. Pure.

use metastore::{IndexedRange, PlannedPartition};
use types::{ByteRange, ObjectId, ObjectKey, Offset, TopicNumber};

use crate::fetch::cursors::Cursors;
use crate::fetch::read::Lane;
use crate::fetch::spread::is_all;

/// Ranges of one object that lie closer than this are read as one: a request costs more than reading so much.
const GAP_BYTES_MAX: u64 = 32 * 1024;

/// Bytes of one index row, or a part of them, from a batch's first byte on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose records they are.
    pub topic: TopicNumber,
    /// The object.
    pub object: ObjectId,
    /// Its key.
    pub key: ObjectKey,
    /// What to read.
    pub range: ByteRange,
    /// Where the row's bytes end.
    pub row_end: u64,
    /// Offset of the batch at `range.start`.
    pub base_offset: Offset,
    /// Whether the end of the log is near.
    pub lane: Lane,
}

/// The pieces that hold the records of one partition of `topic` from `from` on, about `bytes_max` of them.
///
/// Reading starts at the batch that holds the offset where that is known, else at its row's start: the walk over the
/// batches will find it.
pub fn pieces(
    topic: TopicNumber,
    planned: &PlannedPartition,
    from: Offset,
    bytes_max: u64,
    cursors: &Cursors,
) -> Vec<Piece> {
    let lane = if is_all(planned) { Lane::Hot } else { Lane::Cold };
    let mut pieces = Vec::new();
    let mut left = bytes_max;
    for row in &planned.ranges {
        if left == 0 {
            break;
        }
        let piece = piece(topic, row, from, left, lane, cursors);
        left = left.saturating_sub(piece.range.len());
        let cut_short = piece.range.end < piece.row_end;
        pieces.push(piece);
        if cut_short {
            break;
        }
    }
    pieces
}

fn piece(topic: TopicNumber, row: &IndexedRange, from: Offset, bytes_max: u64, lane: Lane, cursors: &Cursors) -> Piece {
    let at = |start: u64, base_offset: Offset, end: u64| Piece {
        topic,
        object: row.object,
        key: row.key.clone(),
        range: ByteRange { start, end },
        row_end: row.range.end,
        base_offset,
        lane,
    };
    if from <= row.base_offset {
        let end = row.range.end.min(row.range.start + bytes_max);
        return at(row.range.start, row.base_offset, end);
    }
    match cursors
        .find(row.object, row.range.end, from)
        .filter(|start| row.range.start <= *start && *start < row.range.end)
    {
        Some(start) => at(start, from, row.range.end.min(start + bytes_max)),
        None => at(row.range.start, row.base_offset, row.range.end),
    }
}

/// Several pieces read by one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedRead {
    /// The object.
    pub key: ObjectKey,
    /// What to read: from the first piece's start to the last one's end.
    pub range: ByteRange,
    /// That of its pieces, or the hot one where somebody at the tail waits for one of them.
    pub lane: Lane,
    /// The pieces within it, by their place in the list given to [`merge`], in the order of their bytes.
    pub pieces: Vec<usize>,
}

/// Merges pieces that lie side by side, or nearly so, in one object. Pieces that overlap stay apart.
pub fn merge(pieces: &[Piece]) -> Vec<MergedRead> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&pieces[*a], &pieces[*b]);
        a.key.cmp(&b.key).then_with(|| a.range.start.cmp(&b.range.start))
    });
    let mut reads: Vec<MergedRead> = Vec::new();
    for n in order {
        let piece = &pieces[n];
        if let Some(last) = reads.last_mut() {
            let follows = piece.range.start >= last.range.end && piece.range.start - last.range.end <= GAP_BYTES_MAX;
            if last.key == piece.key && follows {
                last.range.end = piece.range.end;
                if piece.lane == Lane::Hot {
                    last.lane = Lane::Hot;
                }
                last.pieces.push(n);
                continue;
            }
        }
        reads.push(MergedRead {
            key: piece.key.clone(),
            range: piece.range,
            lane: piece.lane,
            pieces: vec![n],
        });
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: TopicNumber = TopicNumber(1);

    fn row(base: i64, next: i64, object: i64, start: u64, end: u64) -> IndexedRange {
        IndexedRange {
            base_offset: Offset(base),
            next_offset: Offset(next),
            object: ObjectId(object),
            key: ObjectKey::new(format!("key-{object}")),
            range: ByteRange { start, end },
        }
    }

    fn planned(ranges: Vec<IndexedRange>) -> PlannedPartition {
        PlannedPartition {
            log_start: Offset(0),
            end: Offset(1000),
            ranges,
        }
    }

    #[test]
    fn reading_stops_at_the_budget() {
        let planned = planned(vec![
            row(0, 10, 1, 0, 100),
            row(10, 20, 2, 0, 100),
            row(20, 30, 3, 0, 100),
        ]);
        let pieces = pieces(TOPIC, &planned, Offset(0), 150, &Cursors::default());
        let ranges: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.object.0, piece.range.start, piece.range.end))
            .collect();
        assert_eq!(ranges, [(1, 0, 100), (2, 0, 50)]);
    }

    #[test]
    fn a_read_is_of_the_tail_if_its_plan_reaches_the_end_of_the_log() {
        let lane = |next| {
            let planned = planned(vec![row(0, next, 1, 0, 9)]);
            pieces(TOPIC, &planned, Offset(0), 9, &Cursors::default())[0].lane
        };
        assert_eq!((lane(1000), lane(999)), (Lane::Hot, Lane::Cold));
    }

    #[test]
    fn a_known_batch_is_read_from_its_first_byte_and_an_unknown_one_from_its_rows() {
        let planned = planned(vec![row(0, 100, 1, 1000, 9000)]);
        let cursors = Cursors::default();
        let unknown = pieces(TOPIC, &planned, Offset(50), 10, &cursors);
        assert_eq!(
            (unknown[0].range.start, unknown[0].range.end, unknown[0].base_offset.0),
            (1000, 9000, 0)
        );
        cursors.note(ObjectId(1), 9000, Offset(50), 5000);
        let known = pieces(TOPIC, &planned, Offset(50), 10, &cursors);
        assert_eq!(
            (known[0].range.start, known[0].range.end, known[0].base_offset.0),
            (5000, 5010, 50)
        );
    }

    #[test]
    fn neighbours_in_one_object_become_one_request() {
        let piece = |object: i64, start: u64, end: u64| Piece {
            topic: TOPIC,
            object: ObjectId(object),
            key: ObjectKey::new(format!("key-{object}")),
            range: ByteRange { start, end },
            row_end: end,
            base_offset: Offset(0),
            lane: Lane::Hot,
        };
        let far = 200 + GAP_BYTES_MAX + 1;
        let pieces = [
            piece(2, 0, 10),
            piece(1, 100, 200),
            piece(1, 0, 90),
            piece(1, far, far + 1),
            piece(1, 50, 60),
        ];
        let shape: Vec<_> = merge(&pieces)
            .into_iter()
            .map(|read| (read.range.start, read.range.end, read.pieces))
            .collect();
        // 50..60 overlaps 0..90, so it starts a read of its own, which 100..200 joins.
        assert_eq!(
            shape,
            [
                (0, 90, vec![2]),
                (50, 200, vec![4, 1]),
                (far, far + 1, vec![3]),
                (0, 10, vec![0])
            ]
        );
    }
}
