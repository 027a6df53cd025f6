//! After the faults: everything runs again, the load hears of all its records, and nothing is left undone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dev_stack::{Stack, Switch};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::load::{Load, Producing, so_far};
use crate::say::Diary;

/// The delivery timeout, and time to report.
const PRODUCERS_WITHIN: Duration = Duration::from_secs(360);
/// Lease, sweep grace and a few sweeps.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(200);
/// Between two strikes at Postgres it answers sooner.
const SQL_WITHIN: Duration = Duration::from_secs(10);

/// Heals what can be healed twice without harm.
pub(crate) async fn heal(stack: &Stack, diary: &Diary) {
    stack.s3().faults().heal();
    stack.events().faults().heal();
    stack.events().wake();
    for (what, healed) in [
        ("Postgres resumes", stack.switch_postgres(Switch::Resume).await),
        ("Postgres starts", stack.switch_postgres(Switch::Start).await),
        ("the function starts", stack.start_function().await),
    ] {
        if let Err(error) = healed {
            diary.violation(format!("{what}: {error:#}"));
        }
    }
}

/// Stops the load and waits for the fate of every record.
pub(crate) async fn producers(loads: &[Load], producing: Producing, diary: &Diary) -> Result<()> {
    for load in loads {
        load.oracle.stop_producing();
    }
    let deadline = Instant::now() + PRODUCERS_WITHIN;
    while !producing.is_done() {
        ensure!(
            Instant::now() < deadline,
            "the producers do not end: {:?}",
            so_far(loads)
        );
        sleep(LOOK).await;
    }
    diary.note(format!(
        "the producers have heard of all their records: {:?}",
        so_far(loads)
    ));
    producing.join()
}

/// Waits until no event waits, no slot is pending, and the streams of dead agents have their end.
pub(crate) async fn settled(stack: &Stack, diary: &Diary) -> Result<()> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    let live = stack.config().agents.len().to_string();
    loop {
        let events = stack.events().len();
        let pending = sql(stack, "select count(*) from pending_slots").await?;
        let open = sql(stack, "select count(*) from streams where end_seq is null").await?;
        if events == 0 && pending == "0" && open == live {
            diary.note("drained: no event waits, no slot is pending, no dead stream is open");
            return Ok(());
        }
        if Instant::now() > deadline {
            diary.violation(format!(
                "not drained: {events} events wait, {pending} slots are pending, {open} streams of {live} agents are open"
            ));
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// One value out of the stack's database, which may be frozen or away.
pub(crate) async fn sql(stack: &Stack, query: impl AsRef<str>) -> Result<String> {
    let mut psql = Command::from(stack.postgres().client("psql"));
    psql.args(["-d", "testdb", "-AtX", "-c", query.as_ref()])
        .kill_on_drop(true);
    let asked = timeout(SQL_WITHIN, psql.output()).await;
    let output = asked.context("Postgres does not answer")?.context("cannot run psql")?;
    ensure!(
        output.status.success(),
        "psql: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
