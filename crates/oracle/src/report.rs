//! What a run found, for people and for tests.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::judge::{Totals, Verdict};

/// The outcome of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file with every record.
    pub ledger_path: PathBuf,
    /// One verdict per invariant.
    pub verdicts: Vec<Verdict>,
    /// What was sent and what was read.
    pub totals: Totals,
    /// Partitions that were not read to their end when the time was up.
    pub unfinished: Vec<String>,
    /// From the opening of the ledger to the verdict.
    pub elapsed: Duration,
}

impl Report {
    /// Whether every invariant held, in partitions that were read to their ends.
    pub fn passed(&self) -> bool {
        self.unfinished.is_empty() && self.verdicts.iter().all(Verdict::passed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(
            f,
            "sent {}, acked {} ({} without an offset), given up {}; read {}, extra copies {}; {:.1} s",
            totals.sent,
            totals.acked,
            totals.acked_without_offset,
            totals.failed,
            totals.read,
            totals.extra_copies,
            self.elapsed.as_secs_f64()
        )?;
        if let Some(error) = &totals.first_error {
            writeln!(f, "first error of a producer: {error}")?;
        }
        if !self.unfinished.is_empty() {
            writeln!(f, "not read to the end in time: {}", self.unfinished.join(", "))?;
        }
        for verdict in &self.verdicts {
            let word = if verdict.passed() { "PASS" } else { "FAIL" };
            writeln!(f, "{word}  {:<22} {} violations", verdict.invariant, verdict.violations)?;
            for sample in &verdict.samples {
                writeln!(f, "      {sample}")?;
            }
        }
        write!(
            f,
            "{} ledger: {}",
            if self.passed() { "PASS." } else { "FAIL." },
            self.ledger_path.display()
        )
    }
}
