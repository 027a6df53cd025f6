//! Whole batches out of the bytes that were read: finds the batch that holds the offset, stamps offsets into the
//! headers, and cuts at the limit. Pure.

use bytes::{Bytes, BytesMut};
use record_batch::{BatchHeader, Codec, HEADER_BYTES, crc_holds, stamp_position};
use types::{ObjectId, Offset};

use crate::fetch::plan::Piece;
use crate::fetch::spread::Budget;
use crate::leader_epoch::LEADER_EPOCH;

/// What a partition's part of the answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// First offset wanted.
    pub from: Offset,
    /// Bytes at most, and whether the first batch comes whole all the same.
    pub budget: Budget,
    /// Fetch 10 and up.
    pub zstd_allowed: bool,
}

/// A batch within an index row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The object.
    pub object: ObjectId,
    /// Where the row's bytes end in it.
    pub row_end: u64,
    /// Offset of the batch's first record.
    pub offset: Offset,
    /// Where the batch begins in the object.
    pub position: u64,
}

/// A partition's part of the answer.
#[derive(Debug, Default)]
pub struct Assembled {
    /// Whole batches, stamped.
    pub records: Vec<Bytes>,
    /// Their size.
    pub bytes: u64,
    /// Where the reader will go on, if within a row.
    pub cursor: Option<Cursor>,
}

/// Why nothing could be assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssembleError {
    /// The first wanted batch is longer than the bytes read of this piece: read so many and come again.
    NeedMore {
        /// The piece.
        piece: usize,
        /// Bytes needed from its start on.
        bytes: u64,
    },
    /// The bytes are not what the index says: never skipped.
    Damaged,
    /// zstd for a client that does not know it.
    UnsupportedCompression,
}

/// Assembles the pieces of one partition, up to what cannot be: who reads on from there hears why.
pub fn assemble(pieces: &[Piece], bytes: Vec<BytesMut>, limits: Limits) -> Result<Assembled, AssembleError> {
    let mut assembled = Assembled::default();
    for (n, (piece, bytes)) in pieces.iter().zip(bytes).enumerate() {
        let walked = walk(piece, &bytes, limits, assembled.bytes);
        if let Some(error) = walked
            .failed
            .filter(|_| walked.taken.is_empty() && assembled.records.is_empty())
        {
            return Err(error);
        }
        if let Some(needed) = walked
            .needed
            .filter(|_| limits.budget.first_whole && walked.taken.is_empty() && assembled.records.is_empty())
        {
            return Err(AssembleError::NeedMore {
                piece: n,
                bytes: needed,
            });
        }
        if !walked.taken.is_empty() {
            assembled.bytes += walked.taken_bytes();
            assembled.records.push(stamped(bytes, &walked.taken));
        }
        assembled.cursor = walked.stopped_at.map(|(offset, at)| Cursor {
            object: piece.object,
            row_end: piece.row_end,
            offset,
            position: piece.range.start + at,
        });
        if assembled.cursor.is_some() || walked.failed.is_some() {
            break;
        }
    }
    Ok(assembled)
}

struct Walked {
    /// Start, length and base offset of the batches to send; they lie end to end.
    taken: Vec<(usize, usize, Offset)>,
    /// Offset and position of the batch where the walk stopped before the piece's row was used up.
    stopped_at: Option<(Offset, u64)>,
    /// Bytes needed to read the batch that was cut off.
    needed: Option<u64>,
    /// Why the walk did not go beyond those taken.
    failed: Option<AssembleError>,
}

impl Walked {
    fn taken_bytes(&self) -> u64 {
        self.taken.iter().map(|(_, bytes, _)| *bytes as u64).sum()
    }
}

fn walk(piece: &Piece, bytes: &[u8], limits: Limits, taken_before: u64) -> Walked {
    let mut walked = Walked {
        taken: Vec::new(),
        stopped_at: None,
        needed: None,
        failed: None,
    };
    let (mut at, mut offset, mut total) = (0, piece.base_offset, taken_before);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let cut_off = |needed: usize| (Some((offset, at as u64)), Some((at + needed) as u64));
        if rest.len() < HEADER_BYTES {
            (walked.stopped_at, walked.needed) = cut_off(HEADER_BYTES);
            break;
        }
        let Some(header) = sound_header(rest, piece.row_end - piece.range.start - at as u64) else {
            walked.failed = Some(AssembleError::Damaged);
            break;
        };
        if rest.len() < header.batch_bytes {
            (walked.stopped_at, walked.needed) = cut_off(header.batch_bytes);
            break;
        }
        let next = Offset(offset.0 + header.offset_span());
        let wanted = next > limits.from;
        let comes_whole = limits.budget.first_whole && total == 0;
        if wanted && !comes_whole && total + header.batch_bytes as u64 > limits.budget.bytes {
            walked.stopped_at = Some((offset, at as u64));
            break;
        }
        if wanted && header.codec() == Some(Codec::Zstd) && !limits.zstd_allowed {
            walked.failed = Some(AssembleError::UnsupportedCompression);
            break;
        }
        // Of those before the wanted one too: their counts say where it begins.
        if !crc_holds(&rest[..header.batch_bytes], &header) {
            walked.failed = Some(AssembleError::Damaged);
            break;
        }
        if wanted {
            walked.taken.push((at, header.batch_bytes, offset));
            total += header.batch_bytes as u64;
        }
        at += header.batch_bytes;
        offset = next;
    }
    if walked.failed.is_none() && walked.stopped_at.is_none() && piece.range.start + (at as u64) < piece.row_end {
        walked.stopped_at = Some((offset, at as u64));
    }
    walked
}

/// The header at the start of `bytes`, if it can be that of a batch within the `row_bytes` that are left.
fn sound_header(bytes: &[u8], row_bytes: u64) -> Option<BatchHeader> {
    let header = BatchHeader::read(bytes).ok()?;
    (header.batch_bytes as u64 <= row_bytes && header.offset_span() > 0).then_some(header)
}

/// Cuts the batches out of what was read, without a copy, and writes their offsets in place.
fn stamped(mut bytes: BytesMut, taken: &[(usize, usize, Offset)]) -> Bytes {
    let (Some(first), Some(last)) = (taken.first(), taken.last()) else {
        return Bytes::new();
    };
    for (at, _, offset) in taken {
        stamp_position(&mut bytes[*at..], *offset, LEADER_EPOCH);
    }
    bytes.freeze().slice(first.0..last.0 + last.1)
}

#[cfg(test)]
mod tests {
    use types::{ByteRange, ObjectKey, TopicNumber};

    use super::*;

    /// A batch of `records` records and `bytes` bytes, with nothing but a header in it.
    fn batch(records: i32, bytes: usize) -> Vec<u8> {
        let mut batch = vec![0; bytes];
        batch[8..12].copy_from_slice(&i32::try_from(bytes - 12).unwrap().to_be_bytes());
        batch[16] = 2;
        batch[23..27].copy_from_slice(&(records - 1).to_be_bytes());
        batch[57..61].copy_from_slice(&records.to_be_bytes());
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    fn piece(base: i64, start: u64, read: usize, row_bytes: usize) -> Piece {
        Piece {
            topic: TopicNumber(1),
            object: ObjectId(9),
            key: ObjectKey::new("key"),
            range: ByteRange {
                start,
                end: start + read as u64,
            },
            row_end: start + row_bytes as u64,
            base_offset: Offset(base),
            lane: crate::fetch::read::Lane::Hot,
        }
    }

    fn limits(from: i64, bytes: u64) -> Limits {
        Limits {
            from: Offset(from),
            budget: Budget {
                bytes,
                first_whole: true,
            },
            zstd_allowed: true,
        }
    }

    fn offsets(assembled: &Assembled) -> Vec<i64> {
        let all: Vec<u8> = assembled.records.concat();
        record_batch::batches(&all)
            .map(|batch| batch.unwrap().1.base_offset.0)
            .collect()
    }

    fn run(pieces: &[Piece], bytes: &[&[u8]], limits: Limits) -> Result<Assembled, AssembleError> {
        assemble(
            pieces,
            bytes.iter().map(|bytes| BytesMut::from(*bytes)).collect(),
            limits,
        )
    }

    #[test]
    fn batches_get_their_offsets_and_start_at_the_one_that_holds_the_wanted() {
        let row = [batch(10, 100), batch(5, 80), batch(1, 70)].concat();
        let pieces = [piece(1000, 64, row.len(), row.len())];
        let assembled = run(&pieces, &[&row], limits(1012, 1000)).unwrap();
        assert_eq!(offsets(&assembled), [1010, 1015]);
        assert_eq!(assembled.cursor, None);
    }

    #[test]
    fn the_first_batch_comes_whole_and_the_next_only_if_it_fits() {
        let row = [batch(1, 500), batch(1, 100)].concat();
        let pieces = [piece(0, 64, row.len(), row.len())];
        let assembled = run(&pieces, &[&row], limits(0, 10)).unwrap();
        assert_eq!(offsets(&assembled), [0]);
        assert_eq!(
            assembled.cursor.map(|c| (c.offset, c.position)),
            Some((Offset(1), 64 + 500))
        );
    }

    #[test]
    fn without_a_whole_first_batch_nothing_comes_that_does_not_fit() {
        let row = [batch(1, 500), batch(1, 100)].concat();
        let pieces = [piece(0, 64, row.len(), row.len())];
        let mut limits = limits(0, 499);
        limits.budget.first_whole = false;
        let assembled = run(&pieces, &[&row], limits).unwrap();
        assert!(assembled.records.is_empty());
        let cut = [piece(0, 64, 100, row.len())];
        let assembled = run(&cut, &[&row[..100]], limits).unwrap();
        assert!(assembled.records.is_empty(), "and it is not worth another read");
        limits.budget.bytes = 500;
        assert_eq!(offsets(&run(&pieces, &[&row], limits).unwrap()), [0]);
    }

    #[test]
    fn a_first_batch_longer_than_what_was_read_is_asked_for() {
        let row = batch(1, 500);
        for read in [10, 61, 499] {
            let pieces = [piece(0, 0, read, 500)];
            let needed = if read < HEADER_BYTES { HEADER_BYTES as u64 } else { 500 };
            let error = run(&pieces, &[&row[..read]], limits(0, 10)).unwrap_err();
            assert_eq!(
                error,
                AssembleError::NeedMore {
                    piece: 0,
                    bytes: needed
                }
            );
        }
    }

    #[test]
    fn a_later_batch_that_was_cut_off_is_left_for_the_next_fetch() {
        let row = [batch(3, 100), batch(1, 500)].concat();
        let pieces = [piece(0, 0, 300, 600)];
        let assembled = run(&pieces, &[&row[..300]], limits(0, 300)).unwrap();
        assert_eq!(offsets(&assembled), [0]);
        assert_eq!(assembled.cursor.map(|c| (c.offset, c.position)), Some((Offset(3), 100)));
    }

    #[test]
    fn rows_follow_one_another() {
        let (one, two) = (batch(3, 100), batch(2, 100));
        let pieces = [piece(0, 0, 100, 100), piece(3, 0, 100, 100)];
        let assembled = run(&pieces, &[&one, &two], limits(0, 1000)).unwrap();
        assert_eq!(offsets(&assembled), [0, 3]);
        assert_eq!(assembled.bytes, 200);
    }

    #[test]
    fn a_flipped_bit_shows_wherever_it_is() {
        let row = [batch(10, 100), batch(5, 80)].concat();
        let pieces = [piece(1000, 64, row.len(), row.len())];
        // Base offset and leader epoch are written over.
        let written_over = |at: usize| (at % 100 < 8) || (12..16).contains(&(at % 100));
        for at in (0..row.len()).filter(|at| !written_over(*at)) {
            let mut damaged = row.clone();
            damaged[at] ^= 4;
            let assembled = run(&pieces, &[&damaged], limits(1012, 1000));
            assert!(assembled.is_err(), "byte {at}");
        }
    }

    #[test]
    fn bytes_that_are_no_batches_are_an_error() {
        let pieces = [piece(0, 0, 100, 100)];
        assert_eq!(
            run(&pieces, &[&[0xff; 100]], limits(0, 1000)).unwrap_err(),
            AssembleError::Damaged
        );
        let too_long = batch(1, 200);
        assert_eq!(
            run(&pieces, &[&too_long[..100]], limits(0, 1000)).unwrap_err(),
            AssembleError::Damaged
        );
    }

    #[test]
    fn what_is_sound_before_a_damaged_batch_is_served_and_the_damaged_one_is_an_error() {
        let mut row = [batch(10, 80), batch(10, 80), batch(10, 80)].concat();
        row[80 + 70] ^= 1;
        let pieces = [piece(1000, 0, 240, 240), piece(1030, 240, 80, 80)];
        let bytes = [&row[..], &batch(10, 80)];
        let read = run(&pieces, &bytes, limits(1000, 1000)).unwrap();
        assert_eq!((offsets(&read), read.bytes, read.cursor), (vec![1000], 80, None));
        for from in [1010, 1020] {
            assert_eq!(
                run(&pieces, &bytes, limits(from, 1000)).unwrap_err(),
                AssembleError::Damaged
            );
        }
    }

    #[test]
    fn what_a_client_knows_is_served_before_zstd_and_zstd_is_an_error() {
        let mut zstd = batch(10, 80);
        zstd[22] = 4;
        let crc = crc32c::crc32c(&zstd[21..]);
        zstd[17..21].copy_from_slice(&crc.to_be_bytes());
        let pieces = [piece(0, 0, 80, 80), piece(10, 80, 80, 80)];
        let bytes = [&batch(10, 80)[..], &zstd];
        let old = |from| Limits {
            zstd_allowed: false,
            ..limits(from, 1000)
        };
        assert_eq!(offsets(&run(&pieces, &bytes, old(0)).unwrap()), [0]);
        let (pieces, bytes) = (&pieces[1..], &bytes[1..]);
        assert_eq!(
            run(pieces, bytes, old(10)).unwrap_err(),
            AssembleError::UnsupportedCompression
        );
    }
}
