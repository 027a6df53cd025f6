//! What Postgres said of the log lately, kept for the time when it does not answer. Pure.
//!
//! Index rows are facts that do not change: a record once committed stays where it is for longer than any outage counts.
//! The ends may have moved since, so a reader may have to wait; he is never misled. What is not remembered is not
//! answered: "out of range" and "no such partition" come from Postgres alone.

use std::collections::BTreeMap;

use metastore::{IndexedRange, PlannedPartition, WantedRange};
use types::{Offset, PartitionIndex, TopicNumber};

/// Rows of one generation; two are kept. Each takes some 200 bytes.
const GENERATION_MAX: usize = 32_768;

type PartitionKey = (TopicNumber, PartitionIndex);

#[derive(Debug, Default)]
struct Generation {
    ends: BTreeMap<PartitionKey, (Offset, Offset)>,
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
    /// Notes an answer of Postgres's.
    pub fn note(&mut self, wanted: &[WantedRange], planned: &[Option<PlannedPartition>]) {
        if self.young.rows.len() + self.young.ends.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        for (wanted, planned) in wanted.iter().zip(planned) {
            let key = (wanted.topic, wanted.partition);
            let Some(planned) = planned else {
                self.forget(key);
                continue;
            };
            self.young.ends.insert(key, (planned.log_start, planned.end));
            let rows = planned.ranges.iter().map(|row| ((key, row.base_offset), row.clone()));
            self.young.rows.extend(rows);
        }
    }

    /// The plan for `wanted`, if every partition's part of it is remembered.
    pub fn recall(&self, wanted: &[WantedRange]) -> Option<Vec<Option<PlannedPartition>>> {
        wanted.iter().map(|wanted| self.partition(wanted).map(Some)).collect()
    }

    fn partition(&self, wanted: &WantedRange) -> Option<PlannedPartition> {
        let key = (wanted.topic, wanted.partition);
        let (log_start, end) = *self.young.ends.get(&key).or_else(|| self.old.ends.get(&key))?;
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

    fn forget(&mut self, key: PartitionKey) {
        self.young.ends.remove(&key);
        self.old.ends.remove(&key);
    }
}

#[cfg(test)]
mod tests {
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
        let plan = remembered.recall(&[wanted(0, from)])?.remove(0)?;
        Some(plan.ranges.iter().map(|row| row.base_offset.0).collect())
    }

    #[test]
    fn what_was_read_is_recalled_without_a_hole_and_up_to_the_limit() {
        let mut remembered = Remembered::default();
        remembered.note(&[wanted(0, 0)], &[planned(40, vec![row(0, 10, 600), row(10, 20, 600)])]);
        remembered.note(&[wanted(0, 30)], &[planned(40, vec![row(30, 40, 600)])]);
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
        assert!(remembered.recall(&[wanted(0, 5), wanted(1, 0)]).is_none());
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let mut remembered = Remembered::default();
        remembered.note(&[wanted(0, 0)], &[planned(10, vec![row(0, 10, 1)])]);
        remembered.note(&[wanted(0, 0)], &[None]);
        assert_eq!(recalled(&remembered, 0), None);
    }

    #[test]
    fn memory_is_bounded_and_what_came_last_is_kept() {
        let mut remembered = Remembered::default();
        let count = 5 * GENERATION_MAX as i64;
        for n in 0..count {
            remembered.note(&[wanted(0, n)], &[planned(n + 1, vec![row(n, n + 1, 1)])]);
        }
        assert_eq!(recalled(&remembered, count - 2), Some(vec![count - 2, count - 1]));
        assert_eq!(recalled(&remembered, 0), None);
        assert!(remembered.young.rows.len() + remembered.old.rows.len() <= 2 * GENERATION_MAX);
    }
}
