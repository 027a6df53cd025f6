//! Which bytes one fetch reads, and how that is cut to the memory there is for it. Pure.

use metastore::PlannedPartition;

use crate::fetch::cursors::Cursors;
use crate::fetch::plan::{MergedRead, Piece, merge, pieces};
use crate::fetch::read::Lane;
use crate::fetch::serve::WantedPartition;
use crate::fetch::spread::{Budget, budgets, bytes_named};

/// What a fetch can do with that finds no memory, where its first batch is not larger: Kafka's default of one partition's bytes.
const LEAST_BYTES: u64 = 1024 * 1024;

/// The reads of one fetch.
#[derive(Debug)]
pub struct Layout {
    /// What is read, partition by partition.
    pub pieces: Vec<Piece>,
    /// How many of the pieces each partition has.
    pub counts: Vec<usize>,
    /// What each partition may take of the answer.
    pub budgets: Vec<Budget>,
    /// The requests by which the pieces are read.
    pub reads: Vec<MergedRead>,
    /// What the fetch can do with: less would bring it nothing, or not even its first batch.
    pub least: u64,
}

impl Layout {
    /// About `bytes_max` bytes, given out in the order of the partitions.
    pub fn new(
        wanted: &[WantedPartition],
        planned: &[Option<PlannedPartition>],
        bytes_max: u64,
        cursors: &Cursors,
    ) -> Self {
        let there = wanted.iter().zip(planned).map(|(wanted, planned)| {
            let bytes = planned.as_ref().map(bytes_named).unwrap_or_default();
            (bytes, wanted.bytes_max)
        });
        let budgets = budgets(&there.collect::<Vec<_>>(), bytes_max);
        Self::of(wanted, planned, budgets, cursors)
    }

    /// Of the partition at `place` alone as many bytes as its first batch needs.
    pub fn of_one_batch(
        wanted: &[WantedPartition],
        planned: &[Option<PlannedPartition>],
        place: usize,
        bytes: u64,
        cursors: &Cursors,
    ) -> Self {
        let budget = |n| Budget {
            bytes: if n == place { bytes } else { 0 },
            first_whole: n == place,
        };
        let mut layout = Self::of(wanted, planned, (0..wanted.len()).map(budget).collect(), cursors);
        layout.least = layout.bytes();
        layout
    }

    fn of(
        wanted: &[WantedPartition],
        planned: &[Option<PlannedPartition>],
        budgets: Vec<Budget>,
        cursors: &Cursors,
    ) -> Self {
        let (mut all, mut counts, mut least): (Vec<Piece>, _, _) = (Vec::new(), Vec::with_capacity(wanted.len()), 0);
        for ((wanted, planned), budget) in wanted.iter().zip(planned).zip(&budgets) {
            let bytes = if budget.first_whole {
                budget.bytes.max(1)
            } else {
                budget.bytes
            };
            let mine = planned
                .as_ref()
                .map(|planned| pieces(wanted.topic, planned, wanted.from, bytes, cursors))
                .unwrap_or_default();
            if let Some(first) = mine.first().filter(|_| all.is_empty()) {
                // Where the wanted batch has yet to be found, all that is before it is read.
                let found = first.base_offset >= wanted.from;
                let bytes = first.range.len();
                least = if found { bytes.min(LEAST_BYTES) } else { bytes };
            }
            counts.push(mine.len());
            all.extend(mine);
        }
        Self {
            reads: merge(&all),
            pieces: all,
            counts,
            budgets,
            least,
        }
    }

    /// Bytes that are read.
    pub fn bytes(&self) -> u64 {
        bytes_of(&self.reads)
    }

    /// That of most of the bytes.
    pub fn lane(&self) -> Lane {
        let of = |lane| -> u64 {
            let reads = self.reads.iter().filter(|read| read.lane == lane);
            reads.map(|read| read.range.len()).sum()
        };
        if of(Lane::Cold) > of(Lane::Hot) {
            Lane::Cold
        } else {
            Lane::Hot
        }
    }

    /// Leaves pieces at the end out until no more than `bytes` are read, but for the first one.
    pub fn cut(&mut self, bytes: u64) {
        if self.bytes() <= bytes {
            return;
        }
        let fits = |kept: &usize| bytes_of(&merge(&self.pieces[..*kept])) <= bytes;
        let all: Vec<usize> = (1..=self.pieces.len()).collect();
        let kept = all.partition_point(fits).max(1);
        self.pieces.truncate(kept);
        let mut left = kept;
        for count in &mut self.counts {
            *count = left.min(*count);
            left -= *count;
        }
        self.reads = merge(&self.pieces);
    }

    /// Leaves all of them out.
    pub fn empty(&mut self) {
        self.pieces.clear();
        self.reads.clear();
        self.counts.fill(0);
    }
}

fn bytes_of(reads: &[MergedRead]) -> u64 {
    reads.iter().map(|read| read.range.len()).sum()
}

#[cfg(test)]
mod tests {
    use metastore::IndexedRange;
    use types::{ByteRange, ObjectId, ObjectKey, Offset, PartitionIndex, TopicNumber};

    use super::*;

    const ROW_BYTES: u64 = 4 << 20;

    fn wanted(partition: i32, from: i64) -> WantedPartition {
        WantedPartition {
            topic: TopicNumber(1),
            partition: PartitionIndex(partition),
            from: Offset(from),
            bytes_max: u64::MAX,
        }
    }

    /// Rows of ten records, each in an object of its own.
    fn planned(partition: i64, rows: i64, end: i64) -> Option<PlannedPartition> {
        let row = |n: i64| IndexedRange {
            base_offset: Offset(10 * n),
            next_offset: Offset(10 * n + 10),
            object: ObjectId(100 * partition + n),
            key: ObjectKey::new(format!("{partition}-{n}")),
            range: ByteRange {
                start: 0,
                end: ROW_BYTES,
            },
        };
        Some(PlannedPartition {
            log_start: Offset(0),
            end: Offset(end),
            ranges: (0..rows).map(row).collect(),
        })
    }

    fn layout(from: i64, bytes_max: u64) -> Layout {
        let wanted = [wanted(0, 0), wanted(1, from), wanted(2, 0)];
        let planned = [planned(0, 0, 0), planned(1, 2, 20), planned(2, 3, 99)];
        Layout::new(&wanted, &planned, bytes_max, &Cursors::default())
    }

    #[test]
    fn the_least_is_a_part_of_the_first_row_or_all_of_it_where_the_batch_has_to_be_found() {
        assert_eq!(layout(0, u64::MAX).least, LEAST_BYTES);
        assert_eq!(layout(5, u64::MAX).least, ROW_BYTES);
        assert_eq!(layout(0, 100).least, 100);
    }

    #[test]
    fn what_has_no_room_is_left_out_from_the_end_and_the_first_piece_never() {
        let mut layout = layout(5, u64::MAX);
        assert_eq!((layout.bytes(), &layout.counts[..]), (5 * ROW_BYTES, &[0, 2, 3][..]));
        layout.cut(3 * ROW_BYTES + 1);
        assert_eq!((layout.bytes(), &layout.counts[..]), (3 * ROW_BYTES, &[0, 2, 1][..]));
        layout.cut(1);
        assert_eq!((layout.bytes(), &layout.counts[..]), (ROW_BYTES, &[0, 1, 0][..]));
        layout.empty();
        assert_eq!((layout.bytes(), &layout.counts[..]), (0, &[0, 0, 0][..]));
    }

    #[test]
    fn a_fetch_is_of_old_data_if_most_of_its_bytes_are() {
        assert_eq!(layout(0, u64::MAX).lane(), Lane::Cold);
        assert_eq!(layout(0, 3 * ROW_BYTES).lane(), Lane::Hot);
    }

    #[test]
    fn one_batch_is_read_alone_and_needs_all_that_it_is() {
        let wanted = [wanted(1, 0), wanted(2, 0)];
        let planned = [planned(1, 2, 20), planned(2, 3, 99)];
        let layout = Layout::of_one_batch(&wanted, &planned, 1, 3 << 20, &Cursors::default());
        assert_eq!((layout.bytes(), layout.least), (3 << 20, 3 << 20));
        assert_eq!(layout.counts, [0, 1]);
    }
}
