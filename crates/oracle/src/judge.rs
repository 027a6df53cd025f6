//! The judge: compares what was sent with what was read.
//!
//! A pure function of the ledger: one query per invariant returns a line per violation. SQLite sorts and joins on disk, so memory stays
//! bounded however many records there are. Each invariant has one concern, so that one fault fails one of them where that is possible.

use std::fmt;

use rusqlite::Connection;

use crate::config::Ordering;

/// Violations that are quoted in full; the rest are counted.
const SAMPLES_MAX: usize = 5;

/// What a broker has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// Every acked record is there.
    Completeness,
    /// Nothing is there that was never sent.
    NoPhantoms,
    /// No offset is given twice.
    NoDuplicateOffsets,
    /// The offsets of a partition are 0..n without a hole.
    ContiguousOffsets,
    /// What one producer sent to one partition lies there in that order.
    PerProducerOrdering,
    /// What one producer sent to one partition after an ack lies there behind what was acked.
    AckedOrdering,
    /// The bytes are those that were sent, at the offset that was acked.
    DataIntegrity,
    /// No record is there twice; asked of idempotent producers only.
    Idempotence,
}

impl Invariant {
    const ALWAYS: [Self; 6] = [
        Self::Completeness,
        Self::NoPhantoms,
        Self::NoDuplicateOffsets,
        Self::ContiguousOffsets,
        Self::PerProducerOrdering,
        Self::DataIntegrity,
    ];

    /// What is judged where the producers make these claims.
    pub(crate) fn asked_of(idempotent: bool, ordering: Ordering) -> Vec<Self> {
        let ordered = match ordering {
            Ordering::Sent => Some(Self::PerProducerOrdering),
            Ordering::Acked => Some(Self::AckedOrdering),
            Ordering::Unjudged => None,
        };
        let always = Self::ALWAYS.into_iter();
        let asked = always.flat_map(|invariant| match invariant {
            Self::PerProducerOrdering => ordered,
            other => Some(other),
        });
        asked.chain(idempotent.then_some(Self::Idempotence)).collect()
    }

    fn query(self) -> &'static str {
        match self {
            Self::Completeness => include_str!("../queries/completeness.sql"),
            Self::NoPhantoms => include_str!("../queries/phantoms.sql"),
            Self::NoDuplicateOffsets => include_str!("../queries/duplicate_offsets.sql"),
            Self::ContiguousOffsets => include_str!("../queries/contiguous_offsets.sql"),
            Self::PerProducerOrdering => include_str!("../queries/ordering.sql"),
            Self::AckedOrdering => include_str!("../queries/acked_ordering.sql"),
            Self::DataIntegrity => include_str!("../queries/integrity.sql"),
            Self::Idempotence => include_str!("../queries/idempotence.sql"),
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completeness => "completeness",
            Self::NoPhantoms => "no phantoms",
            Self::NoDuplicateOffsets => "no duplicate offsets",
            Self::ContiguousOffsets => "contiguous offsets",
            Self::PerProducerOrdering => "per-producer ordering",
            Self::AckedOrdering => "ordering by acks",
            Self::DataIntegrity => "data integrity",
            Self::Idempotence => "idempotence",
        })
    }
}

/// How one invariant fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The invariant.
    pub invariant: Invariant,
    /// How often it was broken.
    pub violations: u64,
    /// The first few violations, in words.
    pub samples: Vec<String>,
}

impl Verdict {
    /// Whether the invariant held.
    pub fn passed(&self) -> bool {
        self.violations == 0
    }
}

/// The two sides of the ledger in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records that were sent, or tried.
    pub sent: u64,
    /// Records that were acked.
    pub acked: u64,
    /// Records the client gave up; they may be there or not.
    pub failed: u64,
    /// Acks that did not know the offset.
    pub acked_without_offset: u64,
    /// Records that were read.
    pub read: u64,
    /// Records read beyond the first copy of each: retries leave them, unless the producer is idempotent.
    pub extra_copies: u64,
    /// The first error a producer met.
    pub first_error: Option<String>,
}

/// Judges the invariants that are `asked` for.
pub(crate) fn judge(ledger: &Connection, asked: &[Invariant]) -> rusqlite::Result<Vec<Verdict>> {
    asked.iter().map(|invariant| judge_one(ledger, *invariant)).collect()
}

/// Counts both sides.
pub(crate) fn totals(ledger: &Connection) -> rusqlite::Result<Totals> {
    ledger.query_row(include_str!("../queries/totals.sql"), [], |row| {
        Ok(Totals {
            sent: row.get(0)?,
            acked: row.get(1)?,
            failed: row.get(2)?,
            acked_without_offset: row.get(3)?,
            read: row.get(4)?,
            extra_copies: row.get(5)?,
            first_error: row.get(6)?,
        })
    })
}

/// Judges one of them.
pub(crate) fn judge_one(ledger: &Connection, invariant: Invariant) -> rusqlite::Result<Verdict> {
    let mut verdict = Verdict {
        invariant,
        violations: 0,
        samples: Vec::new(),
    };
    let mut statement = ledger.prepare(invariant.query())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        verdict.violations += 1;
        if verdict.samples.len() < SAMPLES_MAX {
            verdict.samples.push(row.get(0)?);
        }
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Two producers, two partitions, three records each; everything as it should be.
    fn sound_run() -> Connection {
        let ledger = crate::ledger::create(Path::new(":memory:")).unwrap();
        for partition in 0..2 {
            for record in 0..6 {
                let (producer, sequence) = (record % 2, record / 2);
                ledger
                    .execute(
                        "INSERT INTO sent (topic, partition, producer, sequence, checksum, sent_ms, state, acked_offset)
                         VALUES ('t', ?1, ?2, ?3, ?4, 0, 'acked', ?5)",
                        [partition, producer, sequence, 1000 + record, record],
                    )
                    .unwrap();
                read(
                    &ledger,
                    partition,
                    record,
                    Some((producer, sequence)),
                    Some(1000 + record),
                );
            }
        }
        ledger
    }

    fn read(ledger: &Connection, partition: i64, offset: i64, from: Option<(i64, i64)>, checksum: Option<i64>) {
        ledger
            .execute(
                "INSERT INTO read (topic, partition, \"offset\", producer, sequence, checksum) VALUES ('t', ?1, ?2, ?3, ?4, ?5)",
                rusqlite::params![partition, offset, from.map(|f| f.0), from.map(|f| f.1), checksum],
            )
            .unwrap();
    }

    fn broken(ledger: &Connection) -> Vec<Invariant> {
        judge(ledger, &Invariant::asked_of(true, Ordering::Sent))
            .unwrap()
            .into_iter()
            .filter(|verdict| !verdict.passed())
            .map(|v| v.invariant)
            .collect()
    }

    #[test]
    fn a_sound_run_passes() {
        let ledger = sound_run();
        assert_eq!(broken(&ledger), []);
        let totals = totals(&ledger).unwrap();
        assert_eq!(
            (totals.sent, totals.acked, totals.read, totals.extra_copies),
            (12, 12, 12, 0)
        );
    }

    #[test]
    fn a_lost_last_record_breaks_completeness_alone() {
        let ledger = sound_run();
        ledger
            .execute("DELETE FROM read WHERE partition = 1 AND \"offset\" = 5", [])
            .unwrap();
        assert_eq!(broken(&ledger), [Invariant::Completeness]);
    }

    #[test]
    fn a_record_that_was_given_up_may_be_there_or_not() {
        let ledger = sound_run();
        ledger
            .execute(
                "UPDATE sent SET state = 'failed', acked_offset = NULL WHERE producer = 1 AND sequence = 2",
                [],
            )
            .unwrap();
        assert_eq!(broken(&ledger), []);
        ledger
            .execute("DELETE FROM read WHERE partition = 0 AND \"offset\" = 5", [])
            .unwrap();
        assert_eq!(broken(&ledger), []);
    }

    #[test]
    fn a_record_of_nobody_breaks_no_phantoms_alone() {
        let ledger = sound_run();
        read(&ledger, 0, 6, None, None);
        assert_eq!(broken(&ledger), [Invariant::NoPhantoms]);
    }

    #[test]
    fn a_record_of_ours_that_was_never_sent_breaks_no_phantoms_alone() {
        let ledger = sound_run();
        read(&ledger, 0, 6, Some((0, 99)), Some(7));
        assert_eq!(broken(&ledger), [Invariant::NoPhantoms]);
    }

    #[test]
    fn an_offset_served_twice_breaks_no_duplicate_offsets_alone() {
        let ledger = sound_run();
        read(&ledger, 0, 3, Some((1, 1)), Some(1003));
        assert_eq!(broken(&ledger), [Invariant::NoDuplicateOffsets]);
    }

    #[test]
    fn an_offset_acked_twice_breaks_no_duplicate_offsets() {
        let ledger = sound_run();
        ledger
            .execute(
                "UPDATE sent SET acked_offset = 1 WHERE partition = 0 AND producer = 0 AND sequence = 0",
                [],
            )
            .unwrap();
        assert!(broken(&ledger).contains(&Invariant::NoDuplicateOffsets));
    }

    #[test]
    fn a_hole_breaks_contiguous_offsets_alone() {
        let ledger = sound_run();
        ledger.execute("UPDATE sent SET acked_offset = NULL", []).unwrap();
        ledger
            .execute("UPDATE read SET \"offset\" = \"offset\" + 10 WHERE \"offset\" > 3", [])
            .unwrap();
        assert_eq!(broken(&ledger), [Invariant::ContiguousOffsets]);
    }

    #[test]
    fn a_partition_that_does_not_begin_at_0_breaks_contiguous_offsets_alone() {
        let ledger = sound_run();
        ledger.execute("UPDATE sent SET acked_offset = NULL", []).unwrap();
        ledger
            .execute("UPDATE read SET \"offset\" = \"offset\" + 1 WHERE partition = 1", [])
            .unwrap();
        assert_eq!(broken(&ledger), [Invariant::ContiguousOffsets]);
    }

    #[test]
    fn two_swapped_records_break_per_producer_ordering_alone() {
        let ledger = sound_run();
        ledger.execute("UPDATE sent SET acked_offset = NULL", []).unwrap();
        ledger
            .execute(
                "UPDATE read SET \"offset\" = 6 - \"offset\" WHERE partition = 0 AND \"offset\" IN (2, 4)",
                [],
            )
            .unwrap();
        assert_eq!(broken(&ledger), [Invariant::PerProducerOrdering]);
    }

    #[test]
    fn records_that_were_under_way_together_may_be_swapped_where_acks_make_the_order() {
        let ledger = sound_run();
        ledger
            .execute_batch(
                "UPDATE sent SET acked_offset = NULL, sent_ms = 10 * sequence, settled_ms = 10 * sequence + 15;
                 UPDATE read SET \"offset\" = 6 - \"offset\" WHERE partition = 0 AND \"offset\" IN (2, 4);",
            )
            .unwrap();
        let by_acks = |ledger| judge_one(ledger, Invariant::AckedOrdering).unwrap().violations;
        assert_eq!(
            (broken(&ledger), by_acks(&ledger)),
            (vec![Invariant::PerProducerOrdering], 0)
        );
        ledger.execute("UPDATE sent SET settled_ms = sent_ms + 9", []).unwrap();
        assert_eq!(by_acks(&ledger), 1);
        let asked = |ordering| Invariant::asked_of(false, ordering);
        assert!(asked(Ordering::Acked).contains(&Invariant::AckedOrdering));
        assert!(!asked(Ordering::Acked).contains(&Invariant::PerProducerOrdering));
        assert_eq!(asked(Ordering::Unjudged).len(), 5);
    }

    #[test]
    fn changed_bytes_break_data_integrity_alone() {
        for checksum in ["NULL", "7"] {
            let ledger = sound_run();
            ledger
                .execute(
                    &format!("UPDATE read SET checksum = {checksum} WHERE \"offset\" = 2"),
                    [],
                )
                .unwrap();
            assert_eq!(broken(&ledger), [Invariant::DataIntegrity], "checksum {checksum}");
        }
    }

    #[test]
    fn a_record_elsewhere_than_acked_breaks_data_integrity_alone() {
        let ledger = sound_run();
        ledger
            .execute(
                "UPDATE sent SET acked_offset = 77 WHERE partition = 0 AND acked_offset = 2",
                [],
            )
            .unwrap();
        assert_eq!(broken(&ledger), [Invariant::DataIntegrity]);
    }

    #[test]
    fn a_second_copy_breaks_idempotence_alone_and_only_where_it_is_claimed() {
        let ledger = sound_run();
        read(&ledger, 0, 6, Some((0, 2)), Some(1004));
        assert_eq!(broken(&ledger), [Invariant::Idempotence]);
        assert!(
            judge(&ledger, &Invariant::asked_of(false, Ordering::Sent))
                .unwrap()
                .iter()
                .all(Verdict::passed)
        );
        assert_eq!(totals(&ledger).unwrap().extra_copies, 1);
    }

    #[test]
    fn many_violations_are_counted_and_few_are_quoted() {
        let ledger = sound_run();
        for offset in 6..106 {
            read(&ledger, 0, offset, None, None);
        }
        let verdict = judge_one(&ledger, Invariant::NoPhantoms).unwrap();
        assert_eq!((verdict.violations, verdict.samples.len()), (100, SAMPLES_MAX));
    }
}
