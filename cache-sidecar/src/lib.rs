//! The cache sidecar: byte ranges of S3 objects over HTTP, from memory, then disk, then S3.
//!
//! One request goes through the files in this order: `routes/objects.rs` (HTTP) -> `objects.rs` (a range of an
//! object) -> `page.rs` (its pages) -> `cache.rs` (those that are here) -> `flights.rs`, `peers.rs` and `origin.rs` (the
//! others, each fetched once however many ask). What agents push comes in by `push.rs`. The contract is `docs/cache-api.md`.

mod admission;
mod asker;
mod cache;
pub mod config;
mod damage;
mod error;
mod fair;
mod flights;
mod hedge;
mod metrics;
mod objects;
mod origin;
mod page;
mod peers;
mod push;
mod range_header;
mod reach;
mod router;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon::{Readiness, Tasks};
use storage::S3Store;
use telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

pub use asker::{Asker, GetCount, Lane};
pub use config::CacheConfig;
pub use metrics::METRICS;
pub use objects::Objects;
pub use origin::Stores;
pub use page::PageBytes;
pub use router::router;

/// How long the answers in flight may take after SIGTERM. With the flush behind it this stays below the 30 s after
/// which ECS kills.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// How long the disk may take to be closed. What is not on disk by then is fetched again from S3.
const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: CacheConfig, telemetry: Telemetry) -> anyhow::Result<()> {
    let shutdown = daemon::token_on_signal().context("cannot listen for signals")?;
    daemon::raise_nofile_limit();
    tracing::info!(?config, "starting");
    telemetry.register(METRICS);
    telemetry.register(storage::METRICS);
    // Each with connections of its own: what one lane waits for does not stand in the other's way.
    let (hot, cold) = (S3Store::new(&config.s3).await?, S3Store::new(&config.s3).await?);
    let stores = Stores {
        hot: Arc::new(hot),
        cold: Arc::new(cold),
    };
    serve(&config, stores, telemetry, shutdown).await
}

/// Serves `stores` until `shutdown`, then answers what is in flight and closes the disk. It is ready once S3 has answered.
pub async fn serve(
    config: &CacheConfig,
    stores: impl Into<Stores>,
    telemetry: Telemetry,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = SocketAddr::new(config.host, config.port);
    let listener = daemon::bind(address, "YAKS_CACHE_HOST, YAKS_CACHE_PORT").await?;
    let tasks = Tasks::new(shutdown.clone());
    let stores = stores.into();
    let objects = Objects::open(config, stores.clone(), tasks.clone()).await?;
    daemon::spawn_upkeep(telemetry.clone(), &tasks);
    let readiness = Readiness::new();
    let s3 = readiness.condition("s3");
    let routes = router(objects.clone()).merge(daemon::health_routes(readiness, telemetry));
    tracing::info!(address = %listener.local_addr()?, "listening");
    let server = daemon::serve(listener, routes, shutdown.clone());
    let served = tasks.spawn_core("http server", server);
    let reached = reach::reach_s3(stores.hot.as_ref(), &s3, &shutdown).await;
    if reached.is_ok() {
        shutdown.cancelled().await;
    }
    if let Err(late) = tasks.stop(DRAIN_DEADLINE).await {
        tracing::warn!(%late, "the drain deadline has passed");
    }
    close(&objects).await;
    if let Some(task) = tasks.core_failure() {
        anyhow::bail!("{task} panicked");
    }
    if served.is_finished() {
        served.await?.context("http server")?;
    }
    reached
}

async fn close(objects: &Objects) {
    match tokio::time::timeout(FLUSH_DEADLINE, objects.close()).await {
        Ok(Ok(())) => tracing::info!("stopped"),
        Ok(Err(error)) => tracing::warn!(%error, "the cache on disk was not closed in order"),
        Err(_) => tracing::warn!("the cache on disk was not closed in time"),
    }
}
