//! Shows what topics cost: what this agent spends on requests, and what their bytes cost in S3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metastore::Metastore;
use metrics::gauge;
use prices::Prices;
use telemetry::Telemetry;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use types::TopicNumber;

use super::window::Window;
use super::{Costs, Dollars, shown};
use crate::cluster::view::{ClusterView, Topic};
use crate::metrics::{TOPIC_DOLLARS, TOPIC_METRICS, TOPIC_STORAGE_DOLLARS};

/// As often as anybody scrapes.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often sizes are asked for: every agent adds up the rows of all partitions, and a topic does not grow much in a minute.
const SIZES_INTERVAL: Duration = Duration::from_secs(60);

/// What things cost, and where it is shown.
#[derive(Clone, Debug)]
pub struct CostDisplay {
    /// AWS's prices.
    pub prices: Prices,
    /// The process's metrics.
    pub telemetry: Telemetry,
}

/// Shows it until `shutdown`. Where Postgres does not answer, sizes stay what they were.
pub async fn show_costs(
    costs: Arc<Costs>,
    display: CostDisplay,
    cluster: Arc<ClusterView>,
    metastore: Metastore,
    shutdown: CancellationToken,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut window = Window::default();
    let mut sizes = BTreeMap::new();
    let mut sizes_at = Instant::now();
    let showing = async {
        loop {
            ticks.tick().await;
            if Instant::now() >= sizes_at {
                sizes_at = Instant::now() + SIZES_INTERVAL;
                if let Some(now) = sizes_now(&metastore).await {
                    sizes = now;
                }
            }
            window.add(Instant::now(), costs.take());
            let topics: Vec<Arc<Topic>> = cluster.snapshot().topics().cloned().collect();
            let requests = shown::requests(&window.per_hour(), &topics);
            let storage = shown::storage(&sizes, &topics, |bytes| display.prices.stored_hour(bytes));
            display.telemetry.show(TOPIC_METRICS, || set(&requests, &storage));
        }
    };
    shutdown.run_until_cancelled(showing).await;
}

async fn sizes_now(metastore: &Metastore) -> Option<BTreeMap<TopicNumber, u64>> {
    match timeout(INTERVAL, metastore.topic_bytes()).await {
        Ok(Ok(sizes)) => Some(sizes),
        Ok(Err(error)) => {
            tracing::debug!(%error, "sizes of topics not known");
            None
        }
        Err(_) => {
            tracing::debug!("sizes of topics not known: no answer in time");
            None
        }
    }
}

fn set(requests: &[(&str, Dollars)], storage: &[(&str, f64)]) {
    for (topic, dollars) in requests {
        let kinds = [("put", dollars.put), ("commit", dollars.commit), ("get", dollars.get)];
        for (kind, dollars) in kinds {
            gauge!(TOPIC_DOLLARS, "topic" => (*topic).to_owned(), "kind" => kind).set(dollars);
        }
    }
    for (topic, dollars) in storage {
        gauge!(TOPIC_STORAGE_DOLLARS, "topic" => (*topic).to_owned()).set(*dollars);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_topic_has_a_line_for_each_kind() {
        let dollars = Dollars {
            put: 1.5,
            commit: 2.5,
            get: 0.0,
        };
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || set(&[("orders", dollars)], &[("orders", 0.25)]));
        let shown = recorder.handle().render();
        for line in [
            r#"yaks_topic_dollars_per_hour{topic="orders",kind="put"} 1.5"#,
            r#"yaks_topic_dollars_per_hour{topic="orders",kind="commit"} 2.5"#,
            r#"yaks_topic_dollars_per_hour{topic="orders",kind="get"} 0"#,
            r#"yaks_topic_storage_dollars_per_hour{topic="orders"} 0.25"#,
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }
}
