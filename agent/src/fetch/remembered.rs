//! What Postgres said of the log lately: for readers at the tail, and for the time when it does not answer. Pure.
//!
//! Index rows are facts that do not change: a record once committed stays where it is for longer than any outage counts.
//! The ends may have moved since, so whoever needs them says since when they have to hold. A reader may have to wait; he is never
//! misled. What is not remembered is not answered: "out of range" and "no such partition" come from Postgres alone.

use std::collections::BTreeMap;

use metastore::{IndexedRange, PlannedPartition, WantedRange};
use tokio::time::Instant;
use types::{Offset, PartitionIndex, TopicNumber};

/// Rows of one generation; two are kept. Each takes some 200 bytes.
const GENERATION_MAX: usize = 32_768;

type PartitionKey = (TopicNumber, PartitionIndex);

/// Where a log began and ended.
#[derive(Clone, Copy, Debug)]
struct Ends {
    log_start: Offset,
    end: Offset,
    /// When Postgres was asked: it had not answered yet.
    asked_at: Instant,
}

impl Ends {
    /// Answers overtake each other; both ends only ever grow.
    fn later(self, other: Self) -> Self {
        Self {
            log_start: self.log_start.max(other.log_start),
            end: self.end.max(other.end),
            asked_at: self.asked_at.max(other.asked_at),
        }
    }
}

#[derive(Debug, Default)]
struct Generation {
    ends: BTreeMap<PartitionKey, Ends>,
    rows: BTreeMap<(PartitionKey, Offset), IndexedRange>,
}

impl Generation {
    fn row_at(&self, key: PartitionKey, offset: Offset) -> Option<&IndexedRange> {
        let (_, row) = self.rows.range((key, Offset(0))..=(key, offset)).next_back()?;
        (row.next_offset > offset).then_some(row)
    }
}

/// Rows and ends of logs that somebody read lately. Bounded: the older half is forgotten when it is full.
#[derive(Debug, Default)]
pub struct Remembered {
    young: Generation,
    old: Generation,
}

impl Remembered {
    /// Notes what Postgres answered to a question of `asked_at`.
    pub fn note(&mut self, wanted: &[WantedRange], planned: &[Option<PlannedPartition>], asked_at: Instant) {
        if self.young.rows.len() + self.young.ends.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        for (wanted, planned) in wanted.iter().zip(planned) {
            let key = (wanted.topic, wanted.partition);
            let Some(planned) = planned else {
                self.forget(key);
                continue;
            };
            let said = Ends {
                log_start: planned.log_start,
                end: planned.end,
                asked_at,
            };
            let known = self.ends(key).unwrap_or(said);
            self.young.ends.insert(key, known.later(said));
            let rows = planned.ranges.iter().map(|row| ((key, row.base_offset), row.clone()));
            self.young.rows.extend(rows);
        }
    }

    /// The plan for `wanted`, if every partition's part of it is remembered, and if `since` is given, from a question asked then or
    /// later.
    pub fn recall(&self, wanted: &[WantedRange], since: Option<Instant>) -> Option<Vec<Option<PlannedPartition>>> {
        wanted
            .iter()
            .map(|wanted| self.partition(wanted, since).map(Some))
            .collect()
    }

    fn partition(&self, wanted: &WantedRange, since: Option<Instant>) -> Option<PlannedPartition> {
        let key = (wanted.topic, wanted.partition);
        let Ends {
            log_start,
            end,
            asked_at,
        } = self.ends(key)?;
        if since.is_some_and(|since| asked_at < since) {
            return None;
        }
        if wanted.from < log_start || wanted.from > end {
            return None;
        }
        let (mut ranges, mut next, mut bytes) = (Vec::new(), wanted.from, 0);
        while next < end && bytes < wanted.bytes_max && ranges.len() < wanted.rows_max as usize {
            let Some(row) = self.young.row_at(key, next).or_else(|| self.old.row_at(key, next)) else {
                break;
            };
            (next, bytes) = (row.next_offset, bytes + row.range.len());
            ranges.push(row.clone());
        }
        if ranges.is_empty() && wanted.from < end {
            return None;
        }
        Some(PlannedPartition { log_start, end, ranges })
    }

    fn ends(&self, key: PartitionKey) -> Option<Ends> {
        self.young.ends.get(&key).or_else(|| self.old.ends.get(&key)).copied()
    }

    /// The log of `key` begins at `log_start` at the earliest.
    pub fn move_start(&mut self, key: PartitionKey, log_start: Offset) {
        if let Some(known) = self.ends(key) {
            let log_start = known.log_start.max(log_start);
            self.young.ends.insert(key, Ends { log_start, ..known });
        }
    }

    fn forget(&mut self, key: PartitionKey) {
        self.young.ends.remove(&key);
        self.old.ends.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::{ByteRange, ObjectId, ObjectKey};

    use super::*;

    fn wanted(partition: i32, from: i64) -> WantedRange {
        WantedRange {
            topic: TopicNumber(1),
            partition: PartitionIndex(partition),
            from: Offset(from),
            bytes_max: 1000,
            rows_max: 64,
        }
    }

    fn row(base: i64, next: i64, bytes: u64) -> IndexedRange {
        IndexedRange {
            base_offset: Offset(base),
            next_offset: Offset(next),
            object: ObjectId(base),
            key: ObjectKey::new("key"),
            range: ByteRange { start: 0, end: bytes },
        }
    }

    fn planned(end: i64, ranges: Vec<IndexedRange>) -> Option<PlannedPartition> {
        Some(PlannedPartition {
            log_start: Offset(0),
            end: Offset(end),
            ranges,
        })
    }

    fn recalled(remembered: &Remembered, from: i64) -> Option<Vec<i64>> {
        let plan = remembered.recall(&[wanted(0, from)], None)?.remove(0)?;
        Some(plan.ranges.iter().map(|row| row.base_offset.0).collect())
    }

    #[test]
    fn what_was_read_is_recalled_without_a_hole_and_up_to_the_limit() {
        let mut remembered = Remembered::default();
        remembered.note(
            &[wanted(0, 0)],
            &[planned(40, vec![row(0, 10, 600), row(10, 20, 600)])],
            Instant::now(),
        );
        remembered.note(&[wanted(0, 30)], &[planned(40, vec![row(30, 40, 600)])], Instant::now());
        assert_eq!(recalled(&remembered, 5), Some(vec![0, 10]));
        assert_eq!(recalled(&remembered, 15), Some(vec![10]), "20 to 30 was never seen");
        assert_eq!(recalled(&remembered, 25), None);
        assert_eq!(
            recalled(&remembered, 40),
            Some(vec![]),
            "nothing beyond the end that is known"
        );
        assert_eq!(
            recalled(&remembered, 41),
            None,
            "only postgres knows what is out of range"
        );
        assert!(remembered.recall(&[wanted(0, 5), wanted(1, 0)], None).is_none());
    }

    #[test]
    fn an_answer_of_before_is_not_recalled_and_never_replaces_a_later_one() {
        let mut remembered = Remembered::default();
        let (before, after) = (Instant::now(), Instant::now() + Duration::from_millis(1));
        remembered.note(&[wanted(0, 10)], &[planned(20, vec![row(10, 20, 1)])], after);
        remembered.note(&[wanted(0, 10)], &[planned(10, vec![])], before);
        let ends = |since| {
            remembered
                .recall(&[wanted(0, 10)], Some(since))
                .map(|plan| plan[0].clone().unwrap().end)
        };
        assert_eq!(ends(before), Some(Offset(20)));
        assert_eq!(ends(after), Some(Offset(20)));
        assert_eq!(ends(after + Duration::from_millis(1)), None);
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let mut remembered = Remembered::default();
        remembered.note(&[wanted(0, 0)], &[planned(10, vec![row(0, 10, 1)])], Instant::now());
        remembered.note(&[wanted(0, 0)], &[None], Instant::now());
        assert_eq!(recalled(&remembered, 0), None);
    }

    #[test]
    fn memory_is_bounded_and_what_came_last_is_kept() {
        let mut remembered = Remembered::default();
        let count = 5 * GENERATION_MAX as i64;
        for n in 0..count {
            remembered.note(
                &[wanted(0, n)],
                &[planned(n + 1, vec![row(n, n + 1, 1)])],
                Instant::now(),
            );
        }
        assert_eq!(recalled(&remembered, count - 2), Some(vec![count - 2, count - 1]));
        assert_eq!(recalled(&remembered, 0), None);
        assert!(remembered.young.rows.len() + remembered.old.rows.len() <= 2 * GENERATION_MAX);
    }
}
