//! What goes wrong for everybody at this moment, until it is healed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metastore::MetastoreError;
use metastore::memory::Weather;
use std::sync::Arc;
use storage::failing::{DelayRange, FaultHandle, FaultRates, FaultTimes, Outage, StoreOperation};
use tokio::time::sleep;

use crate::plan::{Delays, Faults, Plan};
use crate::process::{Peer, Process};
use crate::random::Dice;
use crate::scribe::Scribe;

/// How long a process waits for Postgres: connecting, a statement, its answer.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(4);

/// The state of S3 and Postgres.
#[derive(Debug)]
pub struct Climate(Mutex<State>);

#[derive(Debug)]
struct State {
    faults: Faults,
    s3_delays: Delays,
    postgres_delays: Delays,
    postgres_down: bool,
    outage: Option<Outage>,
    /// The fault handles of all processes' clients of S3.
    clients: Vec<FaultHandle>,
}

impl Climate {
    /// As the plan has it.
    pub fn new(plan: &Plan) -> Self {
        Self(Mutex::new(State {
            faults: plan.faults.clone(),
            s3_delays: plan.s3_delays.clone(),
            postgres_delays: plan.postgres_delays.clone(),
            postgres_down: false,
            outage: None,
            clients: Vec::new(),
        }))
    }

    /// Puts everything right.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults = Faults::NONE;
        state.s3_delays = state.s3_delays.usual();
        state.postgres_delays = state.postgres_delays.usual();
        state.postgres_down = false;
        state.outage = None;
        state.clients.iter().for_each(FaultHandle::heal);
    }

    /// What goes wrong all the time.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// One way to S3 or back.
    pub fn s3_delay(&self, dice: &Dice) -> Duration {
        self.state().s3_delays.draw(dice)
    }

    /// S3 is down for everybody, or up again.
    pub fn set_s3_outage(&self, outage: Option<Outage>) {
        let mut state = self.state();
        state.outage = outage;
        state.clients.iter().for_each(|client| client.set_outage(outage));
    }

    /// Postgres is down for everybody, or up again.
    pub fn set_postgres_down(&self, down: bool) {
        self.state().postgres_down = down;
    }

    /// Lets a new client of S3 have its share of what goes wrong.
    pub fn take_in(&self, client: &FaultHandle) {
        let mut state = self.state();
        client.set_times(TIMES);
        client.set_all(rates(&state.faults));
        client.set_outage(state.outage);
        state.clients.push(client.clone());
    }

    /// Makes the PUTs of one client slow, or as they are for everybody.
    pub fn set_slow_puts(&self, client: &FaultHandle, slow: bool) {
        let rates = rates(&self.state().faults);
        let slow = if slow { 0.8 } else { rates.slow };
        client.set(StoreOperation::Put, FaultRates { slow, ..rates });
    }

    /// Makes the PUTs of one client fail, or as they are for everybody. A few of those that fail happen later: were it many, one would be
    /// there before the object is given up.
    pub fn set_stuck_puts(&self, client: &FaultHandle, stuck: bool) {
        let usual = rates(&self.state().faults);
        let stuck_rates = FaultRates {
            failed_before: 0.8,
            happens_later: 0.2,
            ..FaultRates::default()
        };
        client.set(StoreOperation::Put, if stuck { stuck_rates } else { usual });
    }

    /// What was done to requests of S3, by kind.
    pub fn count_into(&self, scribe: &Scribe) {
        for client in &self.state().clients {
            for ((operation, kind), count) in client.counts() {
                scribe.add(&format!("s3 {operation:?} {kind:?}"), count);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TIMES: FaultTimes = FaultTimes {
    slow: DelayRange {
        min: Duration::from_millis(50),
        max: Duration::from_secs(8),
    },
    late: DelayRange {
        min: Duration::from_millis(1),
        max: Duration::from_secs(30),
    },
    silence: Duration::from_secs(3),
};

fn rates(faults: &Faults) -> FaultRates {
    let part = |permille: u64| permille as f64 / 1000.0;
    FaultRates {
        failed_before: part(faults.s3_failed_permille) / 2.0,
        throttled: part(faults.s3_failed_permille) / 4.0,
        conflict: part(faults.s3_failed_permille) / 4.0,
        answer_lost: part(faults.s3_unanswered_permille) / 2.0,
        happens_later: part(faults.s3_unanswered_permille) / 4.0,
        partial_read: part(faults.s3_unanswered_permille) / 4.0,
        slow: 0.0,
    }
}

/// One process's way to Postgres.
#[derive(Debug)]
pub struct PostgresWeather {
    /// Whose.
    pub process: Process,
    /// What goes wrong now.
    pub climate: Arc<Climate>,
    /// Where choices come from.
    pub dice: Dice,
    /// Where it is written down.
    pub scribe: Scribe,
}

impl PostgresWeather {
    async fn way(&self) -> Result<(), MetastoreError> {
        let delay = self.climate.state().postgres_delays.draw(&self.dice);
        sleep(delay).await;
        if !self.process.reach(Peer::Postgres, POSTGRES_PATIENCE).await {
            return Err(MetastoreError::Unavailable("no answer in time".to_owned()));
        }
        if self.climate.state().postgres_down {
            return Err(MetastoreError::Unavailable("connection refused".to_owned()));
        }
        Ok(())
    }

    async fn mishap(&self, permille: u64, kind: &str, call: &str) -> Result<(), MetastoreError> {
        if !self.dice.chance(permille) {
            return Ok(());
        }
        self.scribe.note(kind, format_args!("{} {call}", self.process.name()));
        sleep(self.dice.ms(0..300)).await;
        Err(MetastoreError::Unavailable("connection lost".to_owned()))
    }
}

#[async_trait]
impl Weather for PostgresWeather {
    async fn before(&self, call: &'static str) -> Result<(), MetastoreError> {
        self.way().await?;
        let permille = self.climate.faults().postgres_failed_permille;
        self.mishap(permille, "postgres failed", call).await
    }

    async fn after(&self, call: &'static str) -> Result<(), MetastoreError> {
        let permille = self.climate.faults().postgres_unanswered_permille;
        self.mishap(permille, "postgres unanswered", call).await?;
        self.way().await
    }

    fn loses_hint(&self) -> bool {
        let state = self.climate.state();
        let faulty = state.faults != Faults::NONE;
        drop(state);
        !self.process.reaches(Peer::Postgres) || (faulty && self.dice.chance(200))
    }
}
