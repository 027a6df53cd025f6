//! A running agent, from its settings to its orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use cache_api::CacheClient;
use daemon::{Readiness, Tasks, bind, raise_nofile_limit, serve_admin};
use metastore::{Committer, Metastore, NewAgent};
use storage::{ObjectStore, S3Store};
use telemetry::Telemetry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use types::{NodeId, SystemClock};
use uuid::Uuid;

use crate::broker::Broker;
use crate::cluster::lease::{Lease, LeaseTimes};
use crate::cluster::view::ClusterView;
use crate::config::{CommitPath, Config, NodeIdSetting};
use crate::configs::TopicDefaults;
use crate::fetch::cursors::Cursors;
use crate::fetch::read::{CachePush, ObjectReader};
use crate::fetch::serve::Fetcher;
use crate::fetch::wait::LogEndsWatch;
use crate::frame::BytePermits;
use crate::hints::CommitSignal;
use crate::produce::buffer::SealRules;
use crate::produce::commit_watcher::CommitWatcher;
use crate::produce::invoke::Invoker;
use crate::produce::writer::{self, WriterDeps, WriterHandle};
use crate::server::{ServerLimits, serve};

/// Brings the database schema up to date.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let metastore = Metastore::new(&config.postgres);
    metastore.migrate().await.with_context(|| postgres_settings(config))?;
    metastore.close().await;
    Ok(())
}

/// Serves until `shutdown`, then stops in order: no new clients, answers in flight, buffer into S3, end of the stream,
/// lease given back.
pub async fn run(config: Config, telemetry: Telemetry, shutdown: CancellationToken) -> anyhow::Result<()> {
    crate::metrics::describe();
    metastore::describe_metrics();
    info!(open_files_max = raise_nofile_limit(), "starting");
    let outside = Outside::reach(&config).await?;
    // Bound before the lease is taken: an agent that cannot listen must not be shown to clients.
    let kafka = SocketAddr::new(config.broker.broker_host, config.broker.broker_port);
    let listener = bind(kafka, "YAKS_BROKER_PORT").await?;

    let readiness = Readiness::new();
    let background = Tasks::new(CancellationToken::new());
    let admin = SocketAddr::new(config.broker.broker_host, config.broker.metrics_port);
    serve_admin(admin, "YAKS_METRICS_PORT", readiness.clone(), telemetry, &background).await?;

    let writing = Tasks::new(CancellationToken::new());
    let starting = start_parts(&config, &outside, &readiness, &background, &writing);
    // A Postgres that goes away in between is waited for; a signal need not be.
    let Some(broker) = shutdown.run_until_cancelled(starting).await else {
        return Ok(());
    };
    let broker = broker?;
    info!(node.id = %broker.cluster.node_id(), address = %kafka, "serving");

    let permits = BytePermits::new(config.write.inflight_bytes);
    let mut limits = ServerLimits::new(config.broker.connections_max, permits);
    let deadline = Duration::from_millis(config.broker.shutdown_ms);
    limits.drain = deadline / 2;
    let stop_serving = shutdown.child_token();
    let serving = serve(listener, broker, limits, stop_serving.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = writing.shutdown().cancelled() => stop_serving.cancel(),
        () = background.shutdown().cancelled() => stop_serving.cancel(),
    }
    if !shutdown.is_cancelled() {
        serving.await;
    }
    stop(&outside, &writing, &background, deadline / 2).await
}

async fn stop(outside: &Outside, writing: &Tasks, background: &Tasks, deadline: Duration) -> anyhow::Result<()> {
    let written = writing.stop(deadline).await;
    let ended = background.stop(Duration::from_secs(2)).await;
    outside.metastore.close().await;
    if let Some(name) = writing.core_failure().or_else(|| background.core_failure()) {
        bail!("task `{name}` failed, the agent cannot go on without it");
    }
    written.context("stopping the write path")?;
    ended.context("stopping the background tasks")?;
    info!("stopped");
    Ok(())
}

/// The services an agent stands on, all of them seen to answer.
struct Outside {
    metastore: Metastore,
    store: Arc<dyn ObjectStore>,
    cache: Option<Arc<CacheClient>>,
    invoker: Option<Invoker>,
}

impl Outside {
    async fn reach(config: &Config) -> anyhow::Result<Self> {
        let metastore = Metastore::new(&config.postgres);
        metastore.ping().await.with_context(|| postgres_settings(config))?;
        if config.broker.run_migrations {
            metastore.migrate().await.context("migrate the database schema")?;
        }
        metastore.check_schema().await?;
        let store = S3Store::new(&config.s3).await?;
        store.check().await.with_context(|| {
            format!(
                "bucket {} at {} (YAKS_S3_BUCKET, YAKS_S3_ENDPOINT)",
                config.s3.bucket, config.s3.endpoint
            )
        })?;
        let cache = config
            .cache
            .cache_enabled
            .then(|| CacheClient::new(&config.cache.cache_url));
        let cache = cache.transpose().context("YAKS_CACHE_URL")?.map(Arc::new);
        let invoker = match config.commit.commit_path {
            CommitPath::Invoke => Some(Invoker::new(&config.commit, &config.s3).await),
            CommitPath::Event | CommitPath::Inline => None,
        };
        Ok(Self {
            metastore,
            store: Arc::new(store),
            cache,
            invoker,
        })
    }
}

fn postgres_settings(config: &Config) -> String {
    let postgres = &config.postgres;
    format!(
        "database {} on {}:{} as {} (YAKS_DB_NAME, YAKS_DB_HOST, YAKS_DB_PORT, YAKS_DB_USER)",
        postgres.name, postgres.host, postgres.port, postgres.user
    )
}

async fn start_parts(
    config: &Config,
    outside: &Outside,
    readiness: &Readiness,
    background: &Tasks,
    writing: &Tasks,
) -> anyhow::Result<Arc<Broker>> {
    let lease = take_lease(config, &outside.metastore).await?;
    let (cluster, renewal) = ClusterView::load(outside.metastore.clone(), lease.own()).await?;
    let signal = CommitSignal::default();
    let ends = LogEndsWatch::default();
    let interval = Duration::from_millis(config.commit.materialize_interval_ms);
    let metastore = || outside.metastore.clone();
    let stop = || background.shutdown().clone();
    let (announce, stream) = watch::channel(None);

    background.spawn_core("cluster view", renewal.run(stop()));
    background.spawn_core("lease", lease.keep(stream, readiness.condition("lease"), stop()));
    background.spawn_core("commit hints", signal.clone().forward(metastore(), stop()));
    background.spawn_core(
        "log ends",
        ends.clone().run(metastore(), signal.clone(), interval, stop()),
    );

    let fetcher = Fetcher {
        metastore: metastore(),
        reader: ObjectReader::new(outside.cache.clone(), Arc::clone(&outside.store)),
        ends,
        cursors: Cursors::default(),
    };
    let writer = start_writer(config, outside, &cluster, signal, announce, writing).await;
    Ok(Arc::new(Broker {
        metastore: metastore(),
        cluster,
        topic_defaults: TopicDefaults {
            auto_create: config.broker.auto_create_topics,
            partition_count: config.broker.num_partitions,
        },
        writer,
        fetcher,
        ack_mode: config.write.ack_mode,
        batch_bytes_max: config.write.message_max_bytes,
        fetch_bytes_max: config.broker.fetch_max_bytes,
        clock: Arc::new(SystemClock),
    }))
}

async fn take_lease(config: &Config, metastore: &Metastore) -> anyhow::Result<Lease> {
    let wanted = NewAgent {
        node_id: match config.broker.node_id {
            NodeIdSetting::Auto => None,
            NodeIdSetting::Fixed(id) => Some(NodeId(id)),
        },
        incarnation: Uuid::new_v4(),
        stream: None,
        host: config.broker.advertised_host.clone(),
        port: config.advertised_port(),
        rack: config.broker.rack.clone(),
        cache_url: if config.cache.cache_enabled {
            config.cache.cache_url.clone()
        } else {
            String::new()
        },
    };
    let times = LeaseTimes {
        ttl: Duration::from_millis(config.broker.lease_ttl_ms),
        heartbeat: Duration::from_millis(config.broker.lease_heartbeat_ms),
    };
    Ok(Lease::take(metastore.clone(), wanted, times).await?)
}

async fn start_writer(
    config: &Config,
    outside: &Outside,
    cluster: &ClusterView,
    signal: CommitSignal,
    announce: watch::Sender<Option<types::StreamId>>,
    writing: &Tasks,
) -> WriterHandle {
    let committer = Committer::new(
        outside.metastore.clone(),
        Arc::clone(&outside.store),
        cluster.cluster_id(),
    );
    let watcher = CommitWatcher {
        path: config.commit.commit_path,
        committer,
        metastore: outside.metastore.clone(),
        invoker: outside.invoker.clone(),
        stall: (config.commit.commit_stall_ms > 0).then(|| Duration::from_millis(config.commit.commit_stall_ms)),
        interval: Duration::from_millis(config.commit.materialize_interval_ms),
        batches_max: config.commit.materialize_batch_size,
        signal,
        stopping: writing.shutdown().clone(),
    };
    let deps = WriterDeps {
        metastore: outside.metastore.clone(),
        store: Arc::clone(&outside.store),
        cluster: cluster.cluster_id(),
        node: cluster.node_id(),
        rules: SealRules {
            bytes: config.write.flush_bytes,
            interval: Duration::from_millis(config.write.flush_interval_ms),
            linger: Duration::from_millis(config.write.linger_ms),
        },
        uploads_max: config.write.uploads_max,
        watcher,
        push: outside.cache.clone().map(CachePush::new),
        announce,
        tasks: writing.clone(),
    };
    let (handle, writer) = writer::start(deps, writing.shutdown().clone()).await;
    writing.spawn_core("writer", writer);
    handle
}
