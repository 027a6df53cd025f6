//! Whether this process should get traffic: a set of named conditions, each held by whoever knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reasons against being ready, by name of the condition.
type Reasons = BTreeMap<&'static str, String>;

/// All conditions of a process; ready when none of them gives a reason against it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Reasons>>);

/// One condition; starts out unmet. Dropping it leaves it as it is.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    all: Readiness,
}

impl Readiness {
    /// Without conditions, and so ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that is not met until its holder says so.
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition {
            name,
            all: self.clone(),
        };
        condition.unmet("starting");
        condition
    }

    /// Whether every condition is met.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// One `name: reason` line per unmet condition; empty when ready.
    pub fn explain(&self) -> String {
        self.reasons()
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}\n"))
            .collect()
    }

    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// Nothing stands against it any more.
    pub fn met(&self) {
        self.all.reasons().remove(self.name);
    }

    /// Not ready, and why.
    pub fn unmet(&self, reason: impl Into<String>) {
        self.all.reasons().insert(self.name, reason.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_condition_is_met() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let (s3, postgres) = (readiness.condition("s3"), readiness.condition("postgres"));
        s3.met();
        assert_eq!(readiness.explain(), "postgres: starting\n");
        postgres.met();
        assert!(readiness.is_ready());
        s3.unmet("access denied");
        assert!(!readiness.is_ready());
        assert_eq!(readiness.explain(), "s3: access denied\n");
    }
}
