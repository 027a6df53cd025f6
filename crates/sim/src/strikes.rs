//! Makes happen what the plan wants to go wrong, at its time.

use std::sync::Arc;
use std::time::Duration;

use storage::failing::Outage;
use tokio::time::{sleep, sleep_until};

use crate::fleet::Fleet;
use crate::function::Function;
use crate::plan::{Plan, Strike};
use crate::process::{Peer, Process};
use crate::random::Dice;
use crate::services::Services;

/// Whom strikes hit.
#[derive(Clone, Debug)]
pub struct Targets {
    /// S3 and Postgres.
    pub services: Arc<Services>,
    /// The agents.
    pub fleet: Arc<Fleet>,
    /// The function.
    pub function: Arc<Function>,
}

/// Carries out the strikes of `plan`; those that last undo themselves. To be dropped when everything is healed.
pub async fn strike_all(plan: Plan, targets: Targets) {
    let (started, dice) = (tokio::time::Instant::now(), Dice::new(plan.seed, "strikes"));
    let mut under_way = tokio::task::JoinSet::new();
    for (at, strike) in plan.strikes {
        sleep_until(started + at).await;
        under_way.spawn(one(strike, targets.clone(), dice.fork()));
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("strikes do not panic");
    }
}

async fn one(strike: Strike, targets: Targets, dice: Dice) {
    let (fleet, climate) = (&targets.fleet, &targets.services.climate);
    targets.services.scribe.note(kind(&strike), format_args!("{strike:?}"));
    match strike {
        Strike::Kill {
            agent,
            back_after,
            silent,
        } => {
            fleet.kill(agent, silent);
            if let Some(after) = back_after {
                sleep(after).await;
                fleet.start(agent);
            }
        }
        Strike::Stop { agent } => fleet.stop(agent),
        Strike::Pause { agent, lasts } => on(fleet.process(agent), lasts, Process::set_paused).await,
        Strike::NoS3 { agent, lasts } => cut_off(fleet, agent, Peer::S3, lasts).await,
        Strike::NoPostgres { agent, lasts } => cut_off(fleet, agent, Peer::Postgres, lasts).await,
        Strike::NoClients { agent, lasts } => cut_off(fleet, agent, Peer::Clients, lasts).await,
        Strike::SlowPuts { agent, lasts } => {
            let client = fleet.s3_faults(agent);
            on(client, lasts, |client, slow| climate.set_slow_puts(client, slow)).await;
        }
        Strike::StuckPuts { agent, lasts } => {
            let client = fleet.s3_faults(agent);
            on(client, lasts, |client, stuck| climate.set_stuck_puts(client, stuck)).await;
        }
        Strike::S3Down { lasts } => {
            climate.set_s3_outage(Some(dice.pick(&[Outage::Refused, Outage::Silent])));
            sleep(lasts).await;
            climate.set_s3_outage(None);
        }
        Strike::PostgresDown { lasts } => {
            climate.set_postgres_down(true);
            sleep(lasts).await;
            climate.set_postgres_down(false);
        }
        Strike::FunctionDown { lasts } => {
            targets.function.set_down(true);
            sleep(lasts).await;
            targets.function.set_down(false);
        }
    }
}

/// Switches something on for a while, if it is there.
async fn on<T>(target: Option<T>, lasts: Duration, switch: impl Fn(&T, bool)) {
    if let Some(target) = target {
        switch(&target, true);
        sleep(lasts).await;
        switch(&target, false);
    }
}

async fn cut_off(fleet: &Fleet, agent: usize, peer: Peer, lasts: Duration) {
    on(fleet.process(agent), lasts, |process, off| {
        process.set_cut_off(peer, off)
    })
    .await;
}

fn kind(strike: &Strike) -> &'static str {
    match strike {
        Strike::Kill { .. } => "strike: agent killed",
        Strike::Stop { .. } => "strike: agent told to stop",
        Strike::Pause { .. } => "strike: agent paused",
        Strike::NoS3 { .. } => "strike: agent without S3",
        Strike::NoPostgres { .. } => "strike: agent without Postgres",
        Strike::NoClients { .. } => "strike: agent without clients",
        Strike::SlowPuts { .. } => "strike: slow PUTs",
        Strike::StuckPuts { .. } => "strike: stuck PUTs",
        Strike::S3Down { .. } => "strike: S3 down",
        Strike::PostgresDown { .. } => "strike: Postgres down",
        Strike::FunctionDown { .. } => "strike: function down",
    }
}
