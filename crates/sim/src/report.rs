//! What a person reads: progress, violations with the command that repeats them, and how often each kind of thing happened.

use std::process::ExitCode;
use std::time::Duration;

use sim::scribe::{Counts, Pages};

/// Violations of one seed that are quoted.
const QUOTED_MAX: usize = 5;

/// The runs so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    runs: u64,
    failed: Vec<u64>,
    counts: Counts,
}

impl Report {
    /// Adds a run; a failed one is told at once.
    pub(crate) fn add(&mut self, seed: u64, pages: &Pages) {
        self.runs += 1;
        for (kind, count) in &pages.counts {
            *self.counts.entry(kind.clone()).or_default() += count;
        }
        if pages.violations.is_empty() {
            return;
        }
        self.failed.push(seed);
        say(&format!("seed {seed} FAILED"));
        for violation in pages.violations.iter().take(QUOTED_MAX) {
            say(&format!("  {violation}"));
        }
        if pages.violations.len() > QUOTED_MAX {
            say(&format!("  and {} more", pages.violations.len() - QUOTED_MAX));
        }
        say(&repeat_with(seed));
    }

    /// One line.
    pub(crate) fn progress(&self, seeds: u64, elapsed: Duration) -> String {
        format!(
            "{} of {seeds} seeds in {:.0} s, {} failed",
            self.runs,
            elapsed.as_secs_f64(),
            self.failed.len()
        )
    }

    /// The summary, and the exit code.
    pub(crate) fn finish(&self) -> ExitCode {
        let width = self.counts.keys().map(String::len).max().unwrap_or(0);
        for (kind, count) in &self.counts {
            say(&format!("  {kind:width$} {count:>10}"));
        }
        if self.failed.is_empty() {
            say(&format!("{} runs, nothing wrong", self.runs));
            ExitCode::SUCCESS
        } else {
            say(&format!(
                "{} of {} runs failed: {:?}",
                self.failed.len(),
                self.runs,
                self.failed
            ));
            ExitCode::FAILURE
        }
    }
}

/// The command that repeats the run of `seed`.
pub(crate) fn repeat_with(seed: u64) -> String {
    format!("  repeat it with: make sim SEED={seed}   (cargo run -q -p sim -- --seed {seed})")
}

/// Writes a line for the person at the terminal.
#[expect(clippy::print_stdout, reason = "this is a program for people")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
