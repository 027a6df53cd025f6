//! The same ledger and the same judge for those who bring their own clients: the simulator, whose network and time are not real.
//!
//! Nothing is written before the end: the lines are kept in memory and go into a SQLite database without a file when it judges.

use std::collections::BTreeSet;

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::config::Ordering;
use crate::judge::{self, Invariant, Totals, Verdict};
use crate::ledger::{self, Entry};
use crate::record::{self, RecordId, Target};

/// One record among all that a run sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName<'a> {
    /// Where it is sent to.
    pub topic: &'a str,
    /// Where it is sent to.
    pub partition: i32,
    /// Who sends it.
    pub producer: u32,
    /// Counts from 0 for each producer in each partition.
    pub sequence: u64,
}

/// A record as it goes out.
#[derive(Clone, Debug)]
pub struct NamedRecord {
    /// Its name.
    pub key: Vec<u8>,
    /// Checksum, name and payload.
    pub value: Vec<u8>,
    /// What the ledger is told.
    pub checksum: u32,
}

/// Makes the record `name`, filled up to `value_bytes` with the noise of `seed`.
pub fn named_record(name: RecordName<'_>, value_bytes: usize, seed: u64) -> NamedRecord {
    let encoded = record::encode(&id_of(name), value_bytes, &mut StdRng::seed_from_u64(seed));
    NamedRecord {
        key: encoded.key.into_bytes(),
        value: encoded.value,
        checksum: encoded.checksum,
    }
}

/// Producer and sequence of a record that was found there; `None` when it does not belong there.
pub fn sender_of(topic: &str, partition: i32, key: &[u8]) -> Option<(u32, u64)> {
    record::decode(&Target::new(topic, partition), key, &[]).from
}

/// A ledger without a file.
#[derive(Default)]
pub struct MemoryLedger {
    entries: Vec<Entry>,
}

/// What the judge says of it.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Both sides in numbers.
    pub totals: Totals,
    /// One per invariant.
    pub verdicts: Vec<Verdict>,
}

impl std::fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLedger")
            .field("entries", &self.entries.len())
            .finish()
    }
}

impl MemoryLedger {
    /// `name` is about to be sent.
    pub fn sent(&mut self, name: RecordName<'_>, checksum: u32) {
        self.entries.push(Entry::Sent {
            id: id_of(name),
            checksum,
        });
    }

    /// `name` was acked, with its offset if the ack knew it.
    pub fn acked(&mut self, name: RecordName<'_>, offset: Option<i64>) {
        self.entries.push(Entry::Acked {
            id: id_of(name),
            offset,
        });
    }

    /// `name` was given up; it may be there or not.
    pub fn failed(&mut self, name: RecordName<'_>, error: &str) {
        self.entries.push(Entry::Failed {
            id: id_of(name),
            error: error.to_owned(),
        });
    }

    /// A record was found.
    pub fn read(&mut self, topic: &str, partition: i32, offset: i64, key: &[u8], value: &[u8]) {
        let target = Target::new(topic, partition);
        let record = record::decode(&target, key, value);
        self.entries.push(Entry::Read { target, offset, record });
    }

    /// Judges every invariant over all, and idempotence over the records of `idempotent` producers.
    pub fn judge(self, idempotent: &BTreeSet<u32>) -> anyhow::Result<Judgement> {
        let mut connection = ledger::create(std::path::Path::new(":memory:")).context("a ledger in memory")?;
        let transaction = connection.transaction()?;
        for entry in self.entries {
            ledger::write(&transaction, entry, 0)?;
        }
        transaction.commit()?;
        let totals = judge::totals(&connection)?;
        let mut verdicts = judge::judge(&connection, &Invariant::asked_of(false, Ordering::Sent))?;
        let of_others = "DELETE FROM sent WHERE producer NOT IN (SELECT value FROM json_each(?1))";
        let idempotent: Vec<String> = idempotent.iter().map(u32::to_string).collect();
        connection.execute(of_others, [format!("[{}]", idempotent.join(","))])?;
        verdicts.push(judge::judge_one(&connection, Invariant::Idempotence)?);
        Ok(Judgement { totals, verdicts })
    }
}

fn id_of(name: RecordName<'_>) -> RecordId {
    RecordId {
        target: Target::new(name.topic, name.partition),
        producer: name.producer,
        sequence: name.sequence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(producer: u32, sequence: u64) -> RecordName<'static> {
        RecordName {
            topic: "t",
            partition: 0,
            producer,
            sequence,
        }
    }

    /// Producers 0 and 1 send one record each, which lies there twice.
    fn doubled() -> MemoryLedger {
        let mut ledger = MemoryLedger::default();
        for producer in 0..2 {
            let sent = named_record(name(producer, 0), 200, 7);
            ledger.sent(name(producer, 0), sent.checksum);
            ledger.acked(name(producer, 0), Some(i64::from(producer)));
            for copy in 0..2 {
                ledger.read("t", 0, i64::from(copy * 2 + producer), &sent.key, &sent.value);
            }
        }
        ledger
    }

    fn broken(ledger: MemoryLedger, idempotent: &[u32]) -> Vec<(Invariant, u64)> {
        let judgement = ledger.judge(&idempotent.iter().copied().collect()).unwrap();
        let broken = judgement.verdicts.into_iter().filter(|verdict| !verdict.passed());
        broken.map(|verdict| (verdict.invariant, verdict.violations)).collect()
    }

    #[test]
    fn only_idempotent_producers_are_asked_for_idempotence() {
        assert_eq!(broken(doubled(), &[]), []);
        assert_eq!(broken(doubled(), &[1]), [(Invariant::Idempotence, 1)]);
        assert_eq!(broken(doubled(), &[0, 1]), [(Invariant::Idempotence, 2)]);
    }

    #[test]
    fn an_acked_record_that_is_not_there_is_missed() {
        let mut ledger = doubled();
        ledger.sent(name(0, 1), 1);
        ledger.acked(name(0, 1), None);
        assert_eq!(broken(ledger, &[]), [(Invariant::Completeness, 1)]);
    }

    #[test]
    fn a_record_names_its_sender_only_where_it_belongs() {
        let sent = named_record(name(3, 4), 200, 7);
        assert_eq!(sender_of("t", 0, &sent.key), Some((3, 4)));
        assert_eq!(sender_of("t", 1, &sent.key), None);
    }
}
