//! Which faults there are, how often each is wanted, and how often each was injected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A kind of request; each has probabilities of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are S3's own")]
pub enum StoreOperation {
    Put,
    Get,
    List,
    Delete,
}

impl StoreOperation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Put, Self::Get, Self::List, Self::Delete];

    pub(super) fn s3_name(self) -> &'static str {
        match self {
            Self::Put => "PutObject",
            Self::Get => "GetObject",
            Self::List => "ListObjectsV2",
            Self::Delete => "DeleteObject",
        }
    }
}

/// What can be done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Nothing happened, and the caller learns no more than that there is no answer.
    FailedBefore,
    /// It happened, but the answer was lost.
    AnswerLost,
    /// The caller learns that there is no answer, and only then it happens. PUT and DELETE.
    HappensLater,
    /// 503 SlowDown; nothing happened.
    Throttled,
    /// 409 for a conditional PUT; nothing happened.
    Conflict,
    /// The body broke off midway. GET.
    PartialRead,
    /// It took long; comes on top of the other kinds.
    Slow,
    /// S3 could not be reached at all: see `FaultHandle::set_outage`.
    Outage,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::FailedBefore,
        Self::AnswerLost,
        Self::HappensLater,
        Self::Throttled,
        Self::Conflict,
        Self::PartialRead,
        Self::Slow,
        Self::Outage,
    ];
}

/// How likely each fault is for one request, 0 to 1. Their sum, `slow` excepted, is at most 1; a kind that an
/// operation cannot have is not drawn for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each is the probability of the `FaultKind` of its name")]
pub struct FaultRates {
    pub failed_before: f64,
    pub answer_lost: f64,
    pub happens_later: f64,
    pub throttled: f64,
    pub conflict: f64,
    pub partial_read: f64,
    pub slow: f64,
}

impl FaultRates {
    /// Every kind equally likely.
    pub fn all(probability: f64) -> Self {
        Self {
            failed_before: probability,
            answer_lost: probability,
            happens_later: probability,
            throttled: probability,
            conflict: probability,
            partial_read: probability,
            slow: probability,
        }
    }
}

/// A delay between `min` and `max`, more often short than long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the struct's own line says it")]
pub struct DelayRange {
    pub min: Duration,
    pub max: Duration,
}

/// How long things take that take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultTimes {
    /// A slow request, before and after it happens together.
    pub slow: DelayRange,
    /// From the moment a request is given up to the one it happens all the same (`HappensLater`).
    pub late: DelayRange,
    /// How long a caller waits for an answer that does not come: `S3Timeouts::attempt`.
    pub silence: Duration,
}

impl Default for FaultTimes {
    fn default() -> Self {
        Self {
            slow: DelayRange {
                min: Duration::from_millis(50),
                max: Duration::from_secs(8),
            },
            // Up to well beyond the longest lease and the sweep's two passes.
            late: DelayRange {
                min: Duration::from_millis(1),
                max: Duration::from_secs(60),
            },
            silence: Duration::from_secs(10),
        }
    }
}

/// S3 cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Connections are refused at once.
    Refused,
    /// Nothing answers: every request takes the whole time limit.
    Silent,
}

/// Changes the faults of one `FailingStore` while it is used, and tells what it has done.
#[derive(Clone, Debug, Default)]
pub struct FaultHandle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) rates: BTreeMap<StoreOperation, FaultRates>,
    pub(super) times: FaultTimes,
    pub(super) outage: Option<Outage>,
    pub(super) injected: BTreeMap<(StoreOperation, FaultKind), u64>,
}

impl FaultHandle {
    /// Sets the probabilities of one kind of request.
    pub fn set(&self, operation: StoreOperation, rates: FaultRates) {
        self.state().rates.insert(operation, rates);
    }

    /// Sets the same probabilities for all kinds of requests.
    pub fn set_all(&self, rates: FaultRates) {
        for operation in StoreOperation::ALL {
            self.set(operation, rates);
        }
    }

    /// Sets how long things take.
    pub fn set_times(&self, times: FaultTimes) {
        self.state().times = times;
    }

    /// Begins an outage, or ends it with `None`.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.state().outage = outage;
    }

    /// No more faults. Requests under way keep the ones they drew.
    pub fn heal(&self) {
        let mut state = self.state();
        state.rates.clear();
        state.outage = None;
    }

    /// How often a fault was injected.
    pub fn count(&self, kind: FaultKind) -> u64 {
        let state = self.state();
        let of_kind = state.injected.iter().filter(|((_, injected), _)| *injected == kind);
        of_kind.map(|(_, count)| count).sum()
    }

    /// How often each fault was injected, for every kind of request that had one.
    pub fn counts(&self) -> BTreeMap<(StoreOperation, FaultKind), u64> {
        self.state().injected.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
