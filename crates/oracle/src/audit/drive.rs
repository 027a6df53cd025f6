//! Runs an audit from page to page: with progress, with a state that is kept, until it is done or told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use metastore::Metastore;
use storage::S3Store;
use tokio::time::{Instant, interval, sleep};

use super::{Audit, AuditConfig, AuditError, AuditState, Finding, Page, Phase};

/// Between two lines about the progress, and between two writes of the state.
const PROGRESS: Duration = Duration::from_secs(3);
/// Tries of one page while Postgres or S3 says "not now".
const TRIES: u32 = 6;
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// How an audit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was looked at.
    Done(AuditState),
    /// It was told to stop; a later run goes on from here.
    Stopped(AuditState),
}

/// Who is told while an audit goes on.
pub trait Listener {
    /// Something was found.
    fn found(&mut self, finding: &Finding);
    /// It is still going on; `bytes_read` of objects so far.
    fn progress(&mut self, state: &AuditState, bytes_read: u64);
    /// A good moment to keep the state.
    fn keep(&mut self, state: &AuditState) -> anyhow::Result<()>;
}

/// Runs the audit that `config` asks for, until it is done or `stop` is.
pub async fn run(
    config: &AuditConfig,
    listener: &mut impl Listener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let metastore = Metastore::new(&config.postgres);
    metastore.ping().await.context("postgres")?;
    metastore.check_schema().await.context("postgres")?;
    let store = Arc::new(S3Store::new(&config.s3).await?);
    let audit = Audit::new(metastore, store, config.options()).await?;
    let state = match &config.state {
        Some(path) => AuditState::load(path, audit.cluster())?,
        None => AuditState::new(audit.cluster()),
    };
    drive(&audit, state, listener, stop).await
}

/// Runs `audit` on from `state`, until it is done or `stop` is.
pub async fn drive(
    audit: &Audit,
    mut state: AuditState,
    listener: &mut impl Listener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    audit.suspect(std::mem::take(&mut state.suspects));
    let mut stop = std::pin::pin!(stop);
    let mut ticks = interval(PROGRESS);
    ticks.reset();
    let mut kept = Instant::now();
    while state.phase != Phase::Done {
        let page = {
            let mut page = std::pin::pin!(patient_page(audit, &state.phase));
            loop {
                tokio::select! {
                    biased;
                    () = &mut stop => break None,
                    page = &mut page => break Some(page?),
                    _ = ticks.tick() => listener.progress(&state, audit.bytes_read()),
                }
            }
        };
        if let Some(page) = &page {
            state.advance(page);
            page.findings.iter().for_each(|finding| listener.found(finding));
        }
        if page.is_none() || kept.elapsed() >= PROGRESS {
            state.suspects = audit.suspects();
            listener.keep(&state)?;
            kept = Instant::now();
        }
        if page.is_none() {
            return Ok(Ended::Stopped(state));
        }
    }
    state.suspects.clear();
    Ok(Ended::Done(state))
}

async fn patient_page(audit: &Audit, phase: &Phase) -> Result<Page, AuditError> {
    let mut wait = RETRY_WAIT;
    for _ in 1..TRIES {
        match audit.page(phase).await {
            Err(error) if error.is_retriable() => sleep(wait).await,
            done => return done,
        }
        wait *= 2;
    }
    audit.page(phase).await
}
