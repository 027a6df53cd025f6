//! The wall clock of a run: it starts at the same moment in every run and goes with tokio's virtual time.

use tokio::time::Instant;
use types::{Clock, TimestampMs};

/// 2026-01-01 00:00:00 UTC.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// The clock of everybody in a run.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    started: Instant,
}

impl VirtualClock {
    /// Starts now; to be called inside the run's runtime.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> TimestampMs {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX - EPOCH_MS);
        TimestampMs(EPOCH_MS + elapsed)
    }
}
