//! How each fault is brought about and healed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dev_stack::events::EventFault;
use dev_stack::s3::{Outage, S3Fault, S3FaultRate};
use dev_stack::{Stack, Switch};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::drain::sql;
use crate::fault::Fault;

/// A part that cannot start because others are away is started again, as ECS does; but not for ever.
const START_WITHIN: Duration = Duration::from_secs(120);
const START_RETRY: Duration = Duration::from_millis(500);

/// Brings `fault` about, waits, and heals it. Returns how often it hit something.
pub(crate) async fn strike(stack: &Stack, fault: Fault, dice: &Dice) -> Result<u64> {
    let agent = dice.below(stack.config().agents.len());
    match fault {
        Fault::AgentKilled => restart_agent(stack, agent, Switch::Kill, dice.seconds(0, 3)).await,
        Fault::AgentRestarted => stop_and_start_agent(stack, agent).await,
        Fault::AgentFrozen => freeze_agent(stack, agent, dice).await,
        Fault::PostgresStopped => restart_postgres(stack, Switch::Stop, dice).await,
        Fault::PostgresKilled => restart_postgres(stack, Switch::Kill, dice).await,
        Fault::PostgresFrozen => {
            stack.switch_postgres(Switch::Pause).await?;
            sleep(dice.seconds(2, 12)).await;
            stack.switch_postgres(Switch::Resume).await.map(|()| 1)
        }
        Fault::FunctionKilled => kill_function(stack, dice).await,
        Fault::FunctionStopped => {
            stack.stop_function().await;
            sleep(dice.seconds(2, 8)).await;
            eventually("the function", async || stack.start_function().await).await
        }
        Fault::SidecarKilled => {
            stack.switch_sidecar(agent, Switch::Kill).await?;
            sleep(dice.seconds(1, 5)).await;
            eventually("a sidecar", async || stack.start_sidecar(agent).await).await
        }
        Fault::SidecarFrozen => {
            stack.switch_sidecar(agent, Switch::Pause).await?;
            sleep(dice.seconds(3, 8)).await;
            stack.switch_sidecar(agent, Switch::Resume).await.map(|()| 1)
        }
        Fault::S3Down => outage(stack, Outage::Closed, dice).await,
        Fault::S3Silent => outage(stack, Outage::Silent, dice).await,
        Fault::S3Fails => of_s3(stack, S3Fault::Fail, 0.4, dice).await,
        Fault::S3Resets => of_s3(stack, S3Fault::Reset, 0.4, dice).await,
        Fault::S3AnswerLost => of_s3(stack, S3Fault::Lost, 0.4, dice).await,
        Fault::S3HappensLater => of_s3(stack, S3Fault::Late, 0.4, dice).await,
        Fault::S3Throttles => of_s3(stack, S3Fault::Throttle, 0.4, dice).await,
        Fault::S3Conflicts => of_s3(stack, S3Fault::Conflict, 0.4, dice).await,
        Fault::S3BodyCut => of_s3(stack, S3Fault::Partial, 0.4, dice).await,
        Fault::S3Slow => of_s3(stack, S3Fault::Slow, 0.5, dice).await,
        Fault::EventsLost => of_events(stack, EventFault::Drop, dice).await,
        Fault::EventsDoubled => of_events(stack, EventFault::Duplicate, dice).await,
        Fault::EventsDelayed => of_events(stack, EventFault::Delay, dice).await,
        Fault::EventsReordered => of_events(stack, EventFault::Reorder, dice).await,
        Fault::EventsHeld => {
            let before = stack.events().sent();
            stack.hold_events(true);
            sleep(dice.seconds(2, 6)).await;
            stack.hold_events(false);
            Ok(u64::from(stack.events().sent() > before))
        }
    }
}

async fn restart_agent(stack: &Stack, n: usize, how: Switch, pause: Duration) -> Result<u64> {
    stack.switch_agent(n, how).await?;
    sleep(pause).await;
    start_agent(stack, n).await
}

/// A hit only if it stopped in order: one that was given up by its leash, as while S3 is away, was killed.
async fn stop_and_start_agent(stack: &Stack, n: usize) -> Result<u64> {
    let how = stack.stop_agent(n).await.context("it does not run")?;
    start_agent(stack, n).await?;
    Ok(u64::from(how == "exit status 0"))
}

/// Starts agent `n`, again and again while what it needs is away.
pub(crate) async fn start_agent(stack: &Stack, n: usize) -> Result<u64> {
    eventually("an agent", async || stack.start_agent(n).await).await
}

/// Longer than the lease and the sweep's grace together, so that its stream ends without it. A hit only if it did: other faults may
/// have kept the sweep away.
async fn freeze_agent(stack: &Stack, n: usize, dice: &Dice) -> Result<u64> {
    stack.switch_agent(n, Switch::Pause).await?;
    let stream = stream_of(stack, n).await;
    sleep(dice.seconds(14, 18)).await;
    let ended = match stream {
        Ok(stream) => has_ended(stack, &stream).await.unwrap_or(false),
        Err(_) => false,
    };
    stack.switch_agent(n, Switch::Resume).await?;
    Ok(u64::from(ended))
}

async fn stream_of(stack: &Stack, n: usize) -> Result<String> {
    let port = stack.config().agents[n].kafka;
    let stream = sql(stack, format!("select stream_id from agents where port = {port}")).await?;
    ensure!(!stream.is_empty(), "agent {n} has no lease");
    Ok(stream)
}

async fn has_ended(stack: &Stack, stream: &str) -> Result<bool> {
    let query = format!("select end_seq is not null from streams where stream_id = '{stream}'");
    Ok(sql(stack, query).await? == "t")
}

async fn restart_postgres(stack: &Stack, how: Switch, dice: &Dice) -> Result<u64> {
    stack.switch_postgres(how).await?;
    sleep(dice.seconds(1, 6)).await;
    stack.switch_postgres(Switch::Start).await.map(|()| 1)
}

/// Again and again for some seconds: most of the time an instance waits for work.
async fn kill_function(stack: &Stack, dice: &Dice) -> Result<u64> {
    let until = Instant::now() + dice.seconds(4, 8);
    let mut at_work = 0;
    while Instant::now() < until {
        at_work += stack.crash_function().await as u64;
        sleep(Duration::from_millis(200)).await;
    }
    Ok(at_work)
}

async fn outage(stack: &Stack, outage: Outage, dice: &Dice) -> Result<u64> {
    let faults = stack.s3().faults();
    let before = faults.count(S3Fault::Outage);
    faults.set_outage(Some(outage));
    sleep(dice.seconds(2, 8)).await;
    faults.set_outage(None);
    Ok(faults.count(S3Fault::Outage) - before)
}

async fn of_s3(stack: &Stack, fault: S3Fault, probability: f64, dice: &Dice) -> Result<u64> {
    let faults = stack.s3().faults();
    let before = faults.count(fault);
    let set = |probability| {
        faults.set(S3FaultRate {
            operation: None,
            fault,
            probability,
        });
    };
    set(probability);
    sleep(dice.seconds(3, 8)).await;
    set(0.0);
    Ok(faults.count(fault) - before)
}

async fn of_events(stack: &Stack, fault: EventFault, dice: &Dice) -> Result<u64> {
    let faults = stack.events().faults();
    let before = faults.count(fault);
    faults.set_rate(fault, 0.5);
    sleep(dice.seconds(3, 8)).await;
    faults.set_rate(fault, 0.0);
    Ok(faults.count(fault) - before)
}

async fn eventually(what: &str, start: impl AsyncFn() -> Result<()>) -> Result<u64> {
    let deadline = Instant::now() + START_WITHIN;
    loop {
        match start().await {
            Ok(()) => return Ok(1),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{what} cannot be started"));
            }
            Err(error) => tracing::debug!(%error, what, "cannot be started now"),
        }
        sleep(START_RETRY).await;
    }
}
