//! What waits in Postgres, shown as gauges for whoever watches over the cluster: slots that wait for one before them, orphans, and what
//! consumer groups have not read.

use std::time::Duration;

use metastore::{Backlog, Metastore};
use metrics::gauge;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::{CONSUMER_LAG, ORPHANS_KEPT, PENDING_SLOTS, UNSEQUENCED_AGE};

/// Far below the minutes after which anybody would be alarmed.
const INTERVAL: Duration = Duration::from_secs(10);

/// Looks until `shutdown`. Where Postgres does not answer, the gauges keep what they last showed: the lease and the view of the
/// cluster say that it is away.
pub async fn watch(metastore: Metastore, shutdown: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            ticks.tick().await;
            match timeout(INTERVAL, metastore.backlog()).await {
                Ok(Ok(backlog)) => show(backlog),
                Ok(Err(error)) => tracing::debug!(%error, "backlog not known"),
                Err(_) => tracing::debug!("backlog not known: no answer in time"),
            }
        }
    };
    shutdown.run_until_cancelled(looking).await;
}

fn show(backlog: Backlog) {
    gauge!(PENDING_SLOTS).set(backlog.pending_slots as f64);
    gauge!(UNSEQUENCED_AGE, "of" => "pending").set(backlog.oldest_pending_ms as f64 / 1000.0);
    gauge!(ORPHANS_KEPT).set(backlog.orphans as f64);
    gauge!(CONSUMER_LAG, "group" => "max").set(backlog.lag_max as f64);
    gauge!(CONSUMER_LAG, "group" => "sum").set(backlog.lag_sum as f64);
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_waits_is_shown_in_units_of_the_names() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            show(Backlog {
                pending_slots: 3,
                oldest_pending_ms: 2500,
                orphans: 4,
                lag_max: 5,
                lag_sum: 6,
            });
        });
        let shown = recorder.handle().render();
        for line in [
            "yaks_pending_slots 3",
            r#"yaks_unsequenced_object_age_seconds{of="pending"} 2.5"#,
            "yaks_orphans_kept 4",
            r#"yaks_consumer_lag_records{group="max"} 5"#,
            r#"yaks_consumer_lag_records{group="sum"} 6"#,
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }
}
