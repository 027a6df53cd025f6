//! What is said while the run goes on, and what went wrong.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Prints lines with the time of the run, and keeps the violations.
#[derive(Debug)]
pub(crate) struct Diary {
    began: Instant,
    violations: Mutex<Vec<String>>,
}

impl Diary {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            violations: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, what: impl AsRef<str>) {
        line(&format!(
            "{:7.1}  {}",
            self.began.elapsed().as_secs_f64(),
            what.as_ref()
        ));
    }

    /// Something that must not be.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("VIOLATION: {what}"));
        self.violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn elapsed_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// A closed pipe is no reason to stop.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
