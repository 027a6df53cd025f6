//! Writes down what happens in a run: the transcript, how often each kind of thing happened, and what should not have.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// How often each kind of thing happened.
pub type Counts = BTreeMap<String, u64>;

/// The notebook of one run; clones write into the same.
#[derive(Clone, Debug)]
pub struct Scribe(Arc<Notebook>);

#[derive(Debug)]
struct Notebook {
    started: Instant,
    pages: Mutex<Pages>,
}

/// What was written down.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// One line per event, with its virtual time.
    pub transcript: Vec<String>,
    /// How often each kind of thing happened.
    pub counts: Counts,
    /// What should not have happened.
    pub violations: Vec<String>,
}

impl Scribe {
    /// An empty notebook; to be called inside the run's runtime.
    pub fn start() -> Self {
        Self(Arc::new(Notebook {
            started: Instant::now(),
            pages: Mutex::default(),
        }))
    }

    /// Adds a line to the transcript.
    pub fn say(&self, line: impl Display) {
        let line = format!("{:>10.6} {line}", self.seconds());
        self.pages().transcript.push(line);
    }

    /// Counts one of `kind`.
    pub fn count(&self, kind: &str) {
        self.add(kind, 1);
    }

    /// Counts several of `kind`.
    pub fn add(&self, kind: &str, number: u64) {
        let mut pages = self.pages();
        match pages.counts.get_mut(kind) {
            Some(count) => *count += number,
            None => drop(pages.counts.insert(kind.to_owned(), number)),
        }
    }

    /// Counts one of `kind` and says so.
    pub fn note(&self, kind: &str, line: impl Display) {
        self.count(kind);
        self.say(format_args!("{kind}: {line}"));
    }

    /// Something happened that must not.
    pub fn violation(&self, what: impl Display) {
        self.say(format_args!("VIOLATION: {what}"));
        self.pages().violations.push(what.to_string());
    }

    /// Virtual time since the beginning.
    pub fn seconds(&self) -> f64 {
        self.0.started.elapsed().as_secs_f64()
    }

    /// Everything so far.
    pub fn copy(&self) -> Pages {
        self.pages().clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
