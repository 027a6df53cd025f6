//! What is done for groups that nobody asks about: those whose coordinator is gone are taken, so that their members' silence is
//! noticed, and what idle groups left behind is forgotten when its time is over.

use std::sync::Arc;
use std::time::Duration;

use metastore::{ExpiredGroups, Metastore, MetastoreError};
use metrics::counter;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use types::Entropy;

use super::coordinator::Coordinator;
use super::tenure::Place;
use crate::metrics::OFFSETS_EXPIRED;

/// How often groups without a coordinator are looked for. Members that live find their new coordinator by themselves, long
/// before; this is for groups all of whose members are gone too.
const LEFT_BEHIND_INTERVAL: Duration = Duration::from_secs(15);

/// How long a group without members and offsets is kept, in ms: Kafka drops it when it next looks.
const EMPTY_GRACE_MS: u64 = 600_000;

/// Takes groups that were left behind, until `shutdown`.
pub async fn look_after_left_behind(metastore: Metastore, coordinator: Coordinator, shutdown: CancellationToken) {
    let mut ticks = interval(LEFT_BEHIND_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(groups) = shutdown
            .run_until_cancelled(left_behind(&metastore, &coordinator))
            .await
        else {
            return;
        };
        match groups {
            Ok(groups) => groups.iter().for_each(|group| coordinator.look_after(group)),
            Err(error) => tracing::debug!(%error, "groups cannot be listed"),
        }
    }
}

/// Groups with members that we are to coordinate and that somebody else took last.
async fn left_behind(metastore: &Metastore, coordinator: &Coordinator) -> Result<Vec<String>, MetastoreError> {
    let groups = metastore.groups().await?.into_iter();
    let left = groups.filter(|group| group.member_count > 0 && !coordinator.holds(&group.group_id));
    let left = left.filter(|group| coordinator.place(&group.group_id) == Place::Here);
    Ok(left.map(|group| group.group_id).collect())
}

/// Forgets what idle groups left behind, every `every`, until `shutdown`. Every agent does: a second one finds nothing.
pub async fn expire(
    metastore: Metastore,
    retention: Duration,
    every: Duration,
    entropy: Arc<dyn Entropy>,
    shutdown: CancellationToken,
) {
    let retention_ms = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(entropy.jitter(every)) => {}
        }
        let expired = metastore.expire_groups(retention_ms, EMPTY_GRACE_MS);
        let Some(expired) = shutdown.run_until_cancelled(expired).await else {
            return;
        };
        match expired {
            Ok(ExpiredGroups { offsets: 0, groups: 0 }) => {}
            Ok(ExpiredGroups { offsets, groups }) => {
                counter!(OFFSETS_EXPIRED).increment(offsets);
                tracing::info!(offsets, groups, "idle groups expired");
            }
            Err(error) => tracing::warn!(%error, "idle groups cannot be expired"),
        }
    }
}
