//! The wall clock of these histories: it goes with tokio's virtual time.

use tokio::time::Instant;
use types::{Clock, TimestampMs};

#[derive(Clone, Copy, Debug)]
pub(crate) struct VirtualClock(Instant);

impl VirtualClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(1_800_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}
