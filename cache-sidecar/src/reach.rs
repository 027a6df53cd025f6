//! The wait for S3 at the start.
//!
//! ECS starts a container again only if it ran for a minute (`restartAttemptPeriod`): a sidecar that ended because S3 did not answer in its
//! first seconds would stay away for the life of its task. So it waits, and serves meanwhile what its disk has.

use std::time::Duration;

use anyhow::Context;
use daemon::Condition;
use storage::ObjectStore;
use tokio_util::sync::CancellationToken;

/// Waits between checks: from the first to the longest, each twice the one before.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// Asks until S3 answers, or `shutdown`. What no repetition mends, such as a bucket that is not there, is an error.
pub(crate) async fn reach_s3(
    store: &dyn ObjectStore,
    reached: &Condition,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = BACKOFF_MIN;
    while let Some(checked) = shutdown.run_until_cancelled(store.check()).await {
        let error = match checked {
            Ok(()) => {
                tracing::info!("ready");
                reached.met();
                return Ok(());
            }
            Err(error) if error.is_retriable() => error,
            Err(error) => return Err(error).context("S3 (YAKS_S3_ENDPOINT, YAKS_S3_BUCKET and kin)"),
        };
        tracing::warn!(%error, wait_ms = backoff.as_millis(), "S3 does not answer yet");
        reached.unmet(error.to_string());
        if shutdown
            .run_until_cancelled(tokio::time::sleep(backoff))
            .await
            .is_none()
        {
            break;
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
    Ok(())
}
