//! Where the wanted records lie: Postgres says it. What it said lately is remembered: it is all that a reader at the tail needs, whose
//! partitions the watch (`wait.rs`) asks about for everybody, and all there is while Postgres does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metastore::{Metastore, MetastoreError, PlannedPartition, WantedRange};
use metrics::counter;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug, debug_span};
use types::Offset;

use crate::fetch::remembered::Remembered;
use crate::fetch::wait::PartitionKey;
use crate::metrics::FETCH_PLANS;

/// How long a reader waits for Postgres where memory has an answer. A plan takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a failure memory answers at once for so long; then one reader asks again.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// One part of an answer per partition; `None`: there is no such partition (any more).
pub type Plan = Vec<Option<PlannedPartition>>;

/// Plans fetches.
#[derive(Debug)]
pub struct Planner {
    metastore: Metastore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    remembered: Remembered,
    left_alone_until: Option<Instant>,
}

impl Planner {
    /// A planner that has nothing to remember yet.
    pub fn new(metastore: Metastore) -> Self {
        Self {
            metastore,
            state: Mutex::default(),
        }
    }

    /// The plan for `wanted`, in its order. Safe to cancel.
    pub async fn plan(&self, wanted: &[WantedRange]) -> Result<Plan, MetastoreError> {
        let recalled = self.state().remembered.recall(wanted, None);
        let Some(recalled) = recalled else {
            return self.ask(wanted).await.inspect(|_| count("postgres"));
        };
        if !self.asks_now() {
            return Ok(from_memory(recalled));
        }
        let asked = tokio::select! {
            biased;
            asked = self.ask(wanted) => asked,
            () = sleep(PATIENCE) => Err(MetastoreError::Unavailable("no answer in time".to_owned())),
        };
        match asked {
            Err(MetastoreError::Unavailable(reason)) => {
                debug!(error = reason, "planning from memory");
                self.state().left_alone_until = Some(Instant::now() + LEFT_ALONE);
                Ok(from_memory(recalled))
            }
            answered => answered.inspect(|_| count("postgres")),
        }
    }

    /// The plan for `wanted` without a question, if all of it is known from questions asked at `since` or later.
    pub fn recall(&self, wanted: &[WantedRange], since: Instant) -> Option<Plan> {
        self.state().remembered.recall(wanted, Some(since))
    }

    /// The plan for `wanted` if nothing is known of records beyond what is wanted, however old that knowledge is.
    pub fn recall_end(&self, wanted: &[WantedRange]) -> Option<Plan> {
        let plan = self.state().remembered.recall(wanted, None)?;
        let at_end = |(wanted, planned): (&WantedRange, &Option<PlannedPartition>)| {
            planned.as_ref().is_some_and(|planned| planned.end == wanted.from)
        };
        wanted.iter().zip(&plan).all(at_end).then_some(plan)
    }

    /// Readers are not served from below `log_start` any more.
    pub fn move_start(&self, partition: PartitionKey, log_start: Offset) {
        self.state().remembered.move_start(partition, log_start);
    }

    /// Asks Postgres, and remembers what it says.
    pub async fn ask(&self, wanted: &[WantedRange]) -> Result<Plan, MetastoreError> {
        let asked_at = Instant::now();
        let span = debug_span!("plan", partitions = wanted.len());
        let planned = self.metastore.plan_fetch(wanted).instrument(span).await?;
        let mut state = self.state();
        state.remembered.note(wanted, &planned, asked_at);
        state.left_alone_until = None;
        Ok(planned)
    }

    /// Whether Postgres is to be asked; once its time alone is over, one reader does while the others go on without.
    fn asks_now(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        match state.left_alone_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.left_alone_until = Some(now + PATIENCE + LEFT_ALONE);
                true
            }
            None => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn from_memory(plan: Plan) -> Plan {
    count("outage");
    plan
}

/// Counts a plan by where it came from.
pub fn count(source: &'static str) {
    counter!(FETCH_PLANS, "source" => source).increment(1);
}
