//! Time that stands when nobody waits, and a Postgres that can be switched off.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
pub(crate) struct Postgres {
    state: watch::Sender<State>,
    plans: AtomicU64,
    delay_ms: AtomicU64,
    agents_hidden: AtomicBool,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::Here),
            plans: AtomicU64::new(0),
            delay_ms: AtomicU64::new(0),
            agents_hidden: AtomicBool::new(false),
        }
    }
}

impl Postgres {
    /// Nobody listens there: every statement fails once the pool gives up.
    pub(crate) fn away(&self) {
        self.state.send_replace(State::Away);
    }

    /// Statements are taken and not answered.
    pub(crate) fn hang(&self) {
        self.state.send_replace(State::Hanging);
    }

    pub(crate) fn back(&self) {
        self.state.send_replace(State::Here);
    }

    /// Statements take so long.
    pub(crate) fn slow(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap();
        self.delay_ms.store(delay_ms, Ordering::SeqCst);
    }

    /// It does not say who lives, and does all else.
    pub(crate) fn hide_agents(&self) {
        self.agents_hidden.store(true, Ordering::SeqCst);
    }

    /// How often it was asked where records lie.
    pub(crate) fn plans(&self) -> u64 {
        self.plans.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Weather for Postgres {
    async fn before(&self, call: &'static str) -> Result<(), MetastoreError> {
        if call == "plan_fetch" {
            self.plans.fetch_add(1, Ordering::SeqCst);
        }
        if call == "live_agents" && self.agents_hidden.load(Ordering::SeqCst) {
            return Err(MetastoreError::Unavailable("it does not say".to_owned()));
        }
        let delay_ms = self.delay_ms.load(Ordering::SeqCst);
        if delay_ms > 0 {
            sleep(Duration::from_millis(delay_ms)).await;
        }
        let mut state = self.state.subscribe();
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
