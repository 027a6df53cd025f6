//! How the work of one fetch is shared among its partitions. Pure.
//!
//! What a fetch costs is the index rows it names: each is looked up in Postgres and is a range to read. So one fetch names a
//! bounded number of them, whatever the lag of its reader: first a few of each partition, then, if most of those had nothing,
//! more of those that have. The bytes of the answer are given out in the order of the partitions, as Kafka does.

use metastore::{PlannedPartition, WantedRange};
use types::Offset;

/// Rows of one fetch, but for one per partition. Measured: each takes Postgres some ten microseconds, so that a plan takes less than two
/// milliseconds.
const ROWS_MAX: u32 = 128;
/// A second plan is worth its round trip where it names at least so many rows of each partition.
const ROWS_WORTHWHILE: u32 = 4;
/// Rows of one partition in one fetch.
const PARTITION_ROWS_MAX: u32 = 64;

/// How many rows of each of `partitions` the first plan may name.
pub fn rows_at_first(partitions: usize) -> u32 {
    share(ROWS_MAX, partitions)
}

/// The second plan: partitions by their place in the first one, with what is still wanted of them. None: the first was
/// enough, or there are no rows left to give out.
pub fn lacking(
    wanted: &[WantedRange],
    planned: &[Option<PlannedPartition>],
    bytes_max: u64,
) -> Vec<(usize, WantedRange)> {
    let there: u64 = planned.iter().flatten().map(bytes_named).sum();
    let rows = planned
        .iter()
        .flatten()
        .map(|planned| planned.ranges.len())
        .sum::<usize>();
    let rows_left = ROWS_MAX.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
    if there >= bytes_max || rows_left == 0 {
        return Vec::new();
    }
    let both = wanted.iter().zip(planned).enumerate();
    let mut lacking: Vec<(usize, WantedRange)> = both
        .filter_map(|(n, (wanted, planned))| Some((n, rest(wanted, planned.as_ref()?)?)))
        .collect();
    let rows_max = share(rows_left, lacking.len());
    if rows_max < ROWS_WORTHWHILE {
        return Vec::new();
    }
    lacking.iter_mut().for_each(|(_, wanted)| wanted.rows_max = rows_max);
    lacking
}

/// Adds what the second plan named of a partition.
pub fn extend(planned: &mut PlannedPartition, more: PlannedPartition) {
    planned.end = planned.end.max(more.end);
    // Two statements, two moments: what does not follow is left for the next fetch.
    let follows = match (planned.ranges.last(), more.ranges.first()) {
        (Some(last), Some(first)) => first.base_offset == last.next_offset,
        _ => false,
    };
    if follows {
        planned.ranges.extend(more.ranges);
    }
}

/// What one partition may take of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes at most.
    pub bytes: u64,
    /// Whether its first batch comes whole even if it is larger: so that a reader with small limits moves on.
    pub first_whole: bool,
}

/// Gives out the bytes of the answer, to one partition after the other. The first one that has any gets its first batch whole.
pub fn budgets(partitions: &[(u64, u64)], bytes_max: u64) -> Vec<Budget> {
    let (mut left, mut first_whole) = (bytes_max, true);
    let budget = |(there, partition_bytes_max): &(u64, u64)| {
        let bytes = left.min(*partition_bytes_max);
        let budget = Budget { bytes, first_whole };
        if *there > 0 {
            left -= bytes.min(*there);
            first_whole = false;
        }
        budget
    };
    partitions.iter().map(budget).collect()
}

/// Bytes of the rows that are named.
pub fn bytes_named(planned: &PlannedPartition) -> u64 {
    planned.ranges.iter().map(|row| row.range.len()).sum()
}

/// Whether rows up to the end of the log are named.
pub fn is_all(planned: &PlannedPartition) -> bool {
    planned.ranges.last().is_none_or(|row| row.next_offset >= planned.end)
}

fn rest(wanted: &WantedRange, planned: &PlannedPartition) -> Option<WantedRange> {
    let last: Offset = planned.ranges.last()?.next_offset;
    let bytes_max = wanted.bytes_max.saturating_sub(bytes_named(planned));
    (!is_all(planned) && bytes_max > 0).then_some(WantedRange {
        from: last,
        bytes_max,
        ..*wanted
    })
}

fn share(rows: u32, partitions: usize) -> u32 {
    let partitions = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
    (rows / partitions).clamp(1, PARTITION_ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use metastore::IndexedRange;
    use types::{ByteRange, ObjectId, ObjectKey, PartitionIndex, TopicNumber};

    use super::*;

    const ROW_BYTES: u64 = 1000;

    fn wanted(partition: i32) -> WantedRange {
        WantedRange {
            topic: TopicNumber(1),
            partition: PartitionIndex(partition),
            from: Offset(0),
            bytes_max: 1 << 20,
            rows_max: 1,
        }
    }

    /// A log of `end` rows of one record each, of which `rows` are named.
    fn planned(rows: i64, end: i64) -> Option<PlannedPartition> {
        Some(PlannedPartition {
            log_start: Offset(0),
            end: Offset(end),
            ranges: (0..rows).map(row).collect(),
        })
    }

    fn row(base: i64) -> IndexedRange {
        IndexedRange {
            base_offset: Offset(base),
            next_offset: Offset(base + 1),
            object: ObjectId(base),
            key: ObjectKey::new("key"),
            range: ByteRange {
                start: 0,
                end: ROW_BYTES,
            },
        }
    }

    #[test]
    fn rows_are_bounded_however_many_partitions_lag() {
        assert_eq!(rows_at_first(1), PARTITION_ROWS_MAX);
        assert_eq!(rows_at_first(100), 1);
        assert_eq!(rows_at_first(100_000), 1);
        let (wanted, all_lag) = (vec![wanted(0); 100], vec![planned(1, 60); 100]);
        assert_eq!(lacking(&wanted, &all_lag, 1 << 30), [], "the rows are used up");
        assert_eq!(lacking(&wanted[..20], &all_lag[..20], 1 << 30)[0].1.rows_max, 5);
    }

    #[test]
    fn one_that_lags_among_many_gets_the_rows_of_the_others() {
        let wanted: Vec<WantedRange> = (0..100).map(wanted).collect();
        let mut first = vec![planned(0, 0); 100];
        first[7] = planned(2, 60);
        first[8] = None;
        first[9] = planned(2, 2);
        let lacking = lacking(&wanted, &first, 1 << 30);
        let [(7, more)] = lacking[..] else {
            panic!("{lacking:?}")
        };
        assert_eq!(
            (more.from, more.partition.0, more.rows_max),
            (Offset(2), 7, PARTITION_ROWS_MAX)
        );
        assert_eq!(more.bytes_max, (1 << 20) - 2 * ROW_BYTES);
    }

    #[test]
    fn nothing_more_is_named_than_fits_the_answer() {
        let (wanted, first) = ([wanted(0)], [planned(2, 60)]);
        assert_eq!(lacking(&wanted, &first, 2 * ROW_BYTES), []);
        assert_eq!(lacking(&wanted, &first, 2 * ROW_BYTES + 1).len(), 1);
    }

    #[test]
    fn what_is_added_follows_what_is_there() {
        let mut there = planned(2, 3).unwrap();
        let more = PlannedPartition {
            end: Offset(5),
            ranges: vec![row(2), row(3)],
            ..planned(0, 0).unwrap()
        };
        extend(&mut there, more.clone());
        assert_eq!((there.ranges.len(), there.end), (4, Offset(5)));
        extend(&mut there, more);
        assert_eq!(there.ranges.len(), 4);
    }

    #[test]
    fn bytes_are_given_out_in_order_and_the_first_that_has_some_gets_a_whole_batch() {
        let budget = |bytes, first_whole| Budget { bytes, first_whole };
        let given = budgets(&[(0, 100), (500, 100), (30, 100), (500, 100), (500, 100)], 150);
        assert_eq!(
            given,
            [
                budget(100, true),
                budget(100, true),
                budget(50, false),
                budget(20, false),
                budget(0, false)
            ]
        );
        assert_eq!(
            budgets(&[(500, 0)], 0),
            [budget(0, true)],
            "a reader with limits of nothing moves on"
        );
    }
}
