//! A running agent, from its dependencies to its orderly end. The program, tests and the simulator all start it here.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use daemon::{Readiness, Tasks};
use metastore::{AdvertisedListener, Committer, Metastore, NewAgent};
use storage::ObjectStore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use types::{Clock, Entropy, NodeId, StreamId};

use crate::backlog;
use crate::broker::Broker;
use crate::cluster::lease::{Lease, LeaseTimes};
use crate::cluster::view::ClusterView;
use crate::config::{Config, NodeIdSetting};
use crate::configs::{BrokerConfigs, TopicDefaults, broker};
use crate::connection::ConnectionPools;
use crate::costs::Costs;
use crate::costs::watch::{CostDisplay, show_costs};
use crate::fetch::cursors::Cursors;
use crate::fetch::planner::Planner;
use crate::fetch::read::{CachePush, ObjectCache, ObjectReader};
use crate::fetch::reading::FetchMemory;
use crate::fetch::search::TimeSearches;
use crate::fetch::serve::Fetcher;
use crate::fetch::sessions::FetchSessions;
use crate::fetch::wait::LogEndsWatch;
use crate::frame::BytePermits;
use crate::group::coordinator::Coordinator;
use crate::group::expiry::{expire, look_after_left_behind};
use crate::group::relay::{Dialer, Relay};
use crate::group::tenure::Tenure;
use crate::hints::CommitSignal;
use crate::incoming::Incoming;
use crate::listeners::Listener;
use crate::memory::budget::MemoryBudget;
use crate::memory::pool::AnswerPool;
use crate::produce::buffer::SealRules;
use crate::produce::commit_watcher::CommitWatcher;
use crate::produce::invoke::CommitFunction;
use crate::produce::leave::Streams;
use crate::produce::writer::{self, WriterDeps, WriterHandle, WriterStop};
use crate::server::{ServerLimits, serve};

/// All that an agent stands on, and all that it cannot decide by itself.
pub struct Deps {
    /// Postgres, with a schema of this build.
    pub metastore: Metastore,
    /// S3.
    pub store: Arc<dyn ObjectStore>,
    /// The same bucket over connections of its own, for old data.
    pub cold_store: Arc<dyn ObjectStore>,
    /// The sidecar; `None`: everything is read from S3.
    pub cache: Option<Arc<dyn ObjectCache>>,
    /// The function; needed by `YAKS_COMMIT_PATH=invoke`.
    pub function: Option<Arc<dyn CommitFunction>>,
    /// What topics cost; `None`: nobody asks, and nothing is counted.
    pub costs: Option<CostDisplay>,
    /// The time of day. How long things take is tokio's business.
    pub clock: Arc<dyn Clock>,
    /// Ids and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Other agents.
    pub dialer: Arc<dyn Dialer>,
    /// Where they reach this one, as `host:port`.
    pub peer_address: String,
    /// Clients.
    pub incoming: Box<dyn Incoming>,
    /// Told whether the agent should get traffic.
    pub readiness: Readiness,
}

/// Serves until `shutdown`, then stops in order: no new clients, answers in flight, buffer into S3, end of the stream,
/// lease given back. Dropped before that, it ends like a killed process: at once and without a word.
pub async fn run(config: Config, deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let memory = config.memory().map_err(anyhow::Error::msg)?;
    let serving = deps.readiness.condition("serving");
    let background = Tasks::new(CancellationToken::new());
    let writing = Tasks::new(CancellationToken::new());
    let stop_serving = shutdown.child_token();
    // With serving, so that members that wait are sent to the next coordinator.
    let coordinating = Tasks::new(stop_serving.clone());
    let _killed_if_dropped = (
        background.abort_on_drop(),
        writing.abort_on_drop(),
        coordinating.abort_on_drop(),
    );

    let starting = Box::pin(start_parts(
        &config,
        &memory,
        &deps,
        &stop_serving,
        &background,
        &writing,
        &coordinating,
    ));
    // A Postgres that goes away in between is waited for; a signal need not be.
    let Some(broker) = shutdown.run_until_cancelled(starting).await else {
        return Ok(());
    };
    let broker = broker?;
    info!(node.id = %broker.cluster.node_id(), "serving");
    serving.met();

    let times = StopTimes::of(Duration::from_millis(config.broker.shutdown_ms));
    let pools = ConnectionPools {
        requests: BytePermits::named("requests", memory.requests),
        answers: AnswerPool::new("other_answers", memory.other_answers),
    };
    let mut limits = ServerLimits::new(config.broker.connections_max, pools);
    limits.drain = times.drain;
    let mut server = Box::pin(serve(deps.incoming, broker, limits, stop_serving.clone()));
    // Without a connection it may end in the same moment in which it is told to.
    let served = tokio::select! {
        biased;
        () = &mut server => true,
        () = shutdown.cancelled() => false,
        () = writing.shutdown().cancelled() => false,
        () = background.shutdown().cancelled() => false,
    };
    serving.unmet("stopping");
    stop_serving.cancel();
    // At once: what is in flight is answered by what the writer does now.
    let drained = async {
        if !served {
            server.await;
        }
    };
    let ((), written) = tokio::join!(drained, writing.stop(times.drain));
    let ended = background
        .stop(times.background)
        .await
        .and(coordinating.stop(times.background).await);
    if tokio::time::timeout(times.close, deps.metastore.close()).await.is_err() {
        warn!("statements under way are left behind");
    }
    for late in [written, ended].into_iter().filter_map(Result::err) {
        warn!(error = %late, "stopped without waiting any longer");
    }
    if let Some(name) = writing.core_failure().or_else(|| background.core_failure()) {
        bail!("task `{name}` failed, the agent cannot go on without it");
    }
    info!("stopped");
    Ok(())
}

/// How the time of a stop is divided. Nothing of it is used up where all is well.
struct StopTimes {
    /// Until the writer gives up what it could not store or commit.
    settle: Duration,
    /// For the tombstone, and again for its commit.
    end_stream: Duration,
    /// Until connections are closed with requests unanswered; the writer has told everybody by then.
    drain: Duration,
    /// For the lease.
    background: Duration,
    /// For the connections to Postgres.
    close: Duration,
}

impl StopTimes {
    fn of(all: Duration) -> Self {
        Self {
            settle: all * 60 / 100,
            end_stream: all * 10 / 100,
            drain: all * 84 / 100,
            background: all * 10 / 100,
            close: all * 4 / 100,
        }
    }
}

async fn start_parts(
    config: &Config,
    memory: &MemoryBudget,
    deps: &Deps,
    stop_serving: &CancellationToken,
    background: &Tasks,
    writing: &Tasks,
    coordinating: &Tasks,
) -> anyhow::Result<Arc<Broker>> {
    let lease = take_lease(config, deps).await?;
    let (cluster, renewal) = ClusterView::load(deps.metastore.clone(), lease.own()).await?;
    let signal = CommitSignal::default();
    let ends = LogEndsWatch::default();
    let planner = Arc::new(Planner::new(deps.metastore.clone()));
    let interval = Duration::from_millis(config.commit.materialize_interval_ms);
    let metastore = || deps.metastore.clone();
    let stop = || background.shutdown().clone();
    let (announce, stream) = watch::channel(None);

    let tenure = Tenure::new(
        Arc::clone(&cluster),
        lease.confirmed(),
        Duration::from_millis(config.broker.lease_ttl_ms),
    );
    background.spawn_core("cluster view", renewal.run(stop()));
    if let Some(cache) = deps.cache.clone() {
        background.spawn_core("cache ring", follow_agents(cache, Arc::clone(&cluster), stop()));
    }
    background.spawn_core("lease", lease.keep(stream, deps.readiness.condition("lease"), stop()));
    let costs = start_costs(config, deps, &cluster, background);
    background.spawn_core("backlog", backlog::watch(metastore(), stop()));
    background.spawn_core("commit hints", signal.clone().forward(metastore(), stop()));
    background.spawn_core(
        "log ends",
        ends.clone().run(Arc::clone(&planner), signal.clone(), interval, stop()),
    );

    let fetcher = Fetcher {
        memory: FetchMemory::new(memory.answers, memory.cold_answers),
        planner,
        reader: ObjectReader::new(
            deps.cache.clone(),
            Arc::clone(&deps.store),
            Arc::clone(&deps.cold_store),
            Arc::clone(&costs),
        ),
        ends,
        cursors: Cursors::default(),
        sessions: FetchSessions::new(config.broker.fetch_sessions_max, Arc::clone(&deps.entropy)),
        searches: TimeSearches::new(memory.searches),
        stopping: stop_serving.clone(),
    };
    let groups = start_groups(config, deps, &cluster, &tenure, coordinating);
    let relay = Relay::new(Arc::clone(&deps.dialer), tenure, coordinating.clone());
    let push = |cache| CachePush::new(cache, memory.pushes, writing.clone());
    let told = Told {
        push: deps.cache.clone().map(push),
        costs,
    };
    let writer = start_writer(config, deps, &cluster, signal, announce, told, writing).await;
    Ok(Arc::new(Broker {
        metastore: metastore(),
        configs: BrokerConfigs::of(config, cluster.node_id()),
        log_dir: broker::log_dir(config),
        cluster,
        topic_defaults: TopicDefaults {
            auto_create: config.broker.auto_create_topics,
            partition_count: config.broker.num_partitions,
        },
        groups,
        relay,
        writer,
        fetcher,
        ack_mode: config.write.ack_mode,
        batch_bytes_max: config.write.message_max_bytes,
        fetch_bytes_max: config.broker.fetch_max_bytes,
        clock: Arc::clone(&deps.clock),
    }))
}

/// Tells the cache who is there, now and whenever that changes.
async fn follow_agents(cache: Arc<dyn ObjectCache>, cluster: Arc<ClusterView>, shutdown: CancellationToken) {
    let mut snapshots = cluster.snapshots();
    let mut first = true;
    loop {
        let agents = snapshots.borrow_and_update().agents().to_vec();
        cache.follow(&cluster.own(), &agents, first);
        first = false;
        match shutdown.run_until_cancelled(snapshots.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

fn start_costs(config: &Config, deps: &Deps, cluster: &Arc<ClusterView>, tasks: &Tasks) -> Arc<Costs> {
    let Some(display) = deps.costs.clone() else {
        return Arc::default();
    };
    let costs = Arc::new(Costs::new(&display.prices, config.commit.commit_path));
    let showing = show_costs(
        Arc::clone(&costs),
        display,
        Arc::clone(cluster),
        deps.metastore.clone(),
        tasks.shutdown().clone(),
    );
    tasks.spawn_core("costs", showing);
    costs
}

fn start_groups(
    config: &Config,
    deps: &Deps,
    cluster: &Arc<ClusterView>,
    tenure: &Tenure,
    tasks: &Tasks,
) -> Coordinator {
    let coordinator = Coordinator::new(
        deps.metastore.clone(),
        Arc::clone(cluster),
        tenure.clone(),
        config.group.limits(),
        Arc::clone(&deps.entropy),
        tasks.clone(),
    );
    let looking = look_after_left_behind(deps.metastore.clone(), coordinator.clone(), tasks.shutdown().clone());
    tasks.spawn("groups left behind", looking);
    let expiring = expire(
        deps.metastore.clone(),
        Duration::from_secs(60 * config.group.offsets_retention_minutes),
        Duration::from_millis(config.group.offsets_retention_check_interval_ms),
        Arc::clone(&deps.entropy),
        tasks.shutdown().clone(),
    );
    tasks.spawn("group expiry", expiring);
    coordinator
}

async fn take_lease(config: &Config, deps: &Deps) -> anyhow::Result<Lease> {
    let listeners: Vec<AdvertisedListener> = config.listeners().iter().map(Listener::advertised).collect();
    let wanted = NewAgent {
        node_id: match config.broker.node_id {
            NodeIdSetting::Auto => None,
            NodeIdSetting::Fixed(id) => Some(NodeId(id)),
        },
        incarnation: deps.entropy.uuid_v4(),
        stream: None,
        host: listeners[0].host.clone(),
        port: listeners[0].port,
        listeners,
        rack: config.broker.rack.clone(),
        cache_url: if config.cache.cache_enabled {
            config.cache.advertised_url().to_owned()
        } else {
            String::new()
        },
        peer_address: deps.peer_address.clone(),
    };
    let times = LeaseTimes {
        ttl: Duration::from_millis(config.broker.lease_ttl_ms),
        heartbeat: Duration::from_millis(config.broker.lease_heartbeat_ms),
    };
    Ok(Lease::take(deps.metastore.clone(), wanted, times).await?)
}

/// Who is told of an object besides S3.
struct Told {
    push: Option<CachePush>,
    costs: Arc<Costs>,
}

async fn start_writer(
    config: &Config,
    deps: &Deps,
    cluster: &ClusterView,
    signal: CommitSignal,
    announce: watch::Sender<Option<StreamId>>,
    told: Told,
    writing: &Tasks,
) -> WriterHandle {
    let committer = Committer::new(deps.metastore.clone(), Arc::clone(&deps.store), cluster.cluster_id());
    let watcher = CommitWatcher {
        path: config.commit.commit_path,
        committer: committer.clone(),
        metastore: deps.metastore.clone(),
        function: deps.function.clone(),
        stall: (config.commit.commit_stall_ms > 0).then(|| Duration::from_millis(config.commit.commit_stall_ms)),
        interval: Duration::from_millis(config.commit.materialize_interval_ms),
        batches_max: config.commit.materialize_batch_size,
        signal,
        costs: Arc::clone(&told.costs),
        entropy: Arc::clone(&deps.entropy),
        tasks: writing.clone(),
    };
    let streams = Streams {
        metastore: deps.metastore.clone(),
        store: Arc::clone(&deps.store),
        committer,
        node: cluster.node_id(),
        announce,
        condition: deps.readiness.condition("stream"),
        stuck: watch::Sender::new(false),
        clock: Arc::clone(&deps.clock),
        entropy: Arc::clone(&deps.entropy),
    };
    let times = StopTimes::of(Duration::from_millis(config.broker.shutdown_ms));
    let deps = WriterDeps {
        streams,
        store: Arc::clone(&deps.store),
        cluster: cluster.cluster_id(),
        rules: SealRules {
            bytes: config.write.flush_bytes,
            interval: Duration::from_millis(config.write.flush_interval_ms),
            linger: Duration::from_millis(config.write.linger_ms),
        },
        uploads_max: config.write.uploads_max,
        watcher,
        push: told.push,
        costs: told.costs,
        stop: WriterStop {
            settle: times.settle,
            end_stream: times.end_stream,
        },
        tasks: writing.clone(),
    };
    let (handle, writer) = writer::start(deps, writing.shutdown().clone()).await;
    writing.spawn_core("writer", writer);
    handle
}
