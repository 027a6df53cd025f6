//! Time that stands when nobody waits, and a Postgres that can be switched off.

use std::time::Duration;

use async_trait::async_trait;
use metastore::MetastoreError;
use metastore::memory::Weather;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use types::{Clock, TimestampMs};

/// The wall clock of tokio's time.
#[derive(Debug)]
pub(crate) struct VirtualClock(Instant);

impl VirtualClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(1_800_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Here,
    Away,
    Hanging,
}

/// How Postgres is reached.
#[derive(Debug)]
pub(crate) struct Postgres(watch::Sender<State>);

impl Default for Postgres {
    fn default() -> Self {
        Self(watch::Sender::new(State::Here))
    }
}

impl Postgres {
    /// Nobody listens there: every statement fails once the pool gives up.
    pub(crate) fn away(&self) {
        self.0.send_replace(State::Away);
    }

    /// Statements are taken and not answered.
    pub(crate) fn hang(&self) {
        self.0.send_replace(State::Hanging);
    }

    pub(crate) fn back(&self) {
        self.0.send_replace(State::Here);
    }
}

#[async_trait]
impl Weather for Postgres {
    async fn before(&self, _call: &'static str) -> Result<(), MetastoreError> {
        let mut state = self.0.subscribe();
        state.wait_for(|state| *state != State::Hanging).await.unwrap();
        if *state.borrow() == State::Here {
            return Ok(());
        }
        sleep(Duration::from_secs(5)).await;
        Err(MetastoreError::Unavailable("away".to_owned()))
    }

    async fn after(&self, _call: &'static str) -> Result<(), MetastoreError> {
        Ok(())
    }
}
