//! What the agent has as a process: connections to the outside, ports, metrics. Tests and the simulator do without.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use daemon::{Readiness, Tasks, bind, raise_nofile_limit, serve_admin};
use metastore::{Metastore, PostgresConfig};
use prices::Prices;
use storage::{ObjectStore, S3Store};
use telemetry::Telemetry;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use types::{SystemClock, SystemEntropy};

use crate::config::{CommitPath, Config, MigrateConfig};
use crate::costs::watch::CostDisplay;
use crate::fetch::read::ObjectCache;
use crate::fetch::ring::CacheRing;
use crate::group::relay::TcpDialer;
use crate::incoming::Ports;
use crate::metrics::TOPIC_METRICS;
use crate::produce::invoke::{CommitFunction, LambdaFunction};
use crate::run::{Deps, run};
use crate::task_metadata;

/// How long health stays visible after the agent has ended.
const ADMIN_DEADLINE: Duration = Duration::from_secs(1);

/// How often the age of the token is looked at with which connections to Postgres sign in.
const LOGIN_LOOK: Duration = Duration::from_secs(60);

/// Brings the database schema up to date, and the roles that work on it.
pub async fn migrate(config: &Config, what: &MigrateConfig) -> anyhow::Result<()> {
    let metastore = Metastore::new(&config.postgres);
    metastore.ping().await.with_context(|| postgres_settings(config))?;
    metastore.migrate().await.with_context(|| postgres_settings(config))?;
    if let Some(roles) = what.roles() {
        metastore
            .make_roles(&roles)
            .await
            .context("make the roles of agents and function")?;
        info!(
            agent.role = roles.agent.name,
            function.role = roles.function.name,
            "roles are up to date"
        );
    }
    metastore.close().await;
    Ok(())
}

/// Runs an agent on the services and ports of its settings, until `shutdown`.
pub async fn serve(mut config: Config, telemetry: Telemetry, shutdown: CancellationToken) -> anyhow::Result<()> {
    for list in [crate::metrics::METRICS, metastore::METRICS, storage::METRICS] {
        telemetry.register(list);
    }
    telemetry.show(TOPIC_METRICS, || ());
    info!(open_files_max = raise_nofile_limit(), "starting");
    let endpoint = std::env::var(task_metadata::ENDPOINT_VARIABLE).ok();
    task_metadata::fill_in(&mut config, endpoint.as_deref()).await?;
    // Boxed: it is large, and runs once.
    let deps = Box::pin(reach(&config, &telemetry)).await?;
    let admin = Tasks::new(CancellationToken::new());
    let address = SocketAddr::new(config.broker.broker_host, config.broker.metrics_port);
    serve_admin(address, "YAKS_METRICS_PORT", deps.readiness.clone(), telemetry, &admin).await?;
    admin.spawn(
        "database login",
        keep_login(deps.metastore.clone(), admin.shutdown().clone()),
    );

    let mut running = Box::pin(run(config, deps, shutdown.clone()));
    let ended = tokio::select! {
        biased;
        ended = &mut running => ended,
        () = admin.shutdown().cancelled() => {
            shutdown.cancel();
            running.await
        }
    };
    // What still asks for the metrics of a process that has ended need not be waited for.
    let _ = admin.stop(ADMIN_DEADLINE).await;
    ended?;
    if let Some(name) = admin.core_failure() {
        bail!("task `{name}` failed, the agent cannot go on without it");
    }
    Ok(())
}

async fn keep_login(metastore: Metastore, end: CancellationToken) {
    while end.run_until_cancelled(tokio::time::sleep(LOGIN_LOOK)).await.is_some() {
        if let Err(error) = metastore.renew_login().await {
            warn!(%error, "new connections to Postgres will be refused soon");
        }
    }
}

/// The services an agent stands on, all of them seen to answer, and its port. Bound before there is a lease: an agent
/// that cannot listen must not be shown to clients.
async fn reach(config: &Config, telemetry: &Telemetry) -> anyhow::Result<Deps> {
    let prices = prices(config)?;
    let metastore = reach_postgres(config).await?;
    let store = S3Store::new(&config.s3).await?;
    store.check().await.with_context(|| {
        format!(
            "bucket {} at {} (YAKS_S3_BUCKET, YAKS_S3_ENDPOINT)",
            config.s3.bucket, config.s3.endpoint
        )
    })?;
    let incoming = listen(config).await?;
    let readiness = Readiness::new();
    // Until `run` says otherwise: the admin port may be asked sooner.
    readiness.condition("serving");
    Ok(Deps {
        metastore,
        store: Arc::new(store),
        cold_store: Arc::new(S3Store::new(&config.s3).await?),
        cache: cache(config)?,
        function: function(config).await,
        costs: Some(CostDisplay {
            prices,
            telemetry: telemetry.clone(),
        }),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        dialer: Arc::new(TcpDialer),
        peer_address: peer_address(config).await,
        incoming: Box::new(incoming),
        readiness,
    })
}

/// Where other agents reach this one: at its first listener.
async fn peer_address(config: &Config) -> String {
    let bind = config.listeners()[0].bind;
    let host = match config.group.peer_host.as_str() {
        "auto" if !bind.ip().is_unspecified() => bind.ip().to_string(),
        "auto" => own_address(&config.postgres).await.to_string(),
        host => host.to_owned(),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("{host}:{}", bind.port())
}

/// The address from which this machine reaches Postgres: agents share the network that leads there. Connecting a datagram socket
/// sends nothing.
async fn own_address(postgres: &PostgresConfig) -> IpAddr {
    let towards = async {
        let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).await?;
        socket.connect((postgres.host.as_str(), postgres.port)).await?;
        socket.local_addr()
    };
    match towards.await {
        Ok(address) => address.ip(),
        Err(error) => {
            let fallback = IpAddr::from([127, 0, 0, 1]);
            warn!(%error, address = %fallback, "no address for other agents found; set YAKS_PEER_HOST");
            fallback
        }
    }
}

async fn listen(config: &Config) -> anyhow::Result<Ports> {
    let variable = if config.broker.listeners.0.is_empty() {
        "YAKS_BROKER_PORT"
    } else {
        "YAKS_LISTENERS"
    };
    let mut ports = Ports::default();
    for listener in config.listeners() {
        let port = bind(listener.bind, variable).await?;
        info!(listener.name = %listener.name, address = %listener.bind, advertised = %listener.advertised(), "listening");
        ports.add(listener.name, port);
    }
    Ok(ports)
}

async fn reach_postgres(config: &Config) -> anyhow::Result<Metastore> {
    let metastore = Metastore::new(&config.postgres);
    metastore.ping().await.with_context(|| postgres_settings(config))?;
    if config.broker.run_migrations {
        metastore.migrate().await.context("migrate the database schema")?;
    }
    metastore.check_schema().await?;
    Ok(metastore)
}

fn cache(config: &Config) -> anyhow::Result<Option<Arc<dyn ObjectCache>>> {
    if !config.cache.cache_enabled {
        return Ok(None);
    }
    let cache = CacheRing::new(&config.cache.cache_url, config.cache.advertised_url());
    Ok(Some(Arc::new(cache.context("YAKS_CACHE_URL")?)))
}

fn prices(config: &Config) -> anyhow::Result<Prices> {
    let file = &config.broker.prices;
    if file.is_empty() {
        return Ok(Prices::built_in());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("YAKS_PRICES={file}"))?;
    Prices::parse(&text).with_context(|| format!("YAKS_PRICES={file}"))
}

async fn function(config: &Config) -> Option<Arc<dyn CommitFunction>> {
    match config.commit.commit_path {
        CommitPath::Invoke => Some(Arc::new(LambdaFunction::new(&config.commit, &config.s3).await)),
        CommitPath::Event | CommitPath::Inline => None,
    }
}

fn postgres_settings(config: &Config) -> String {
    let postgres = &config.postgres;
    format!(
        "database {} on {}:{} as {} (YAKS_DB_NAME, YAKS_DB_HOST, YAKS_DB_PORT, YAKS_DB_USER)",
        postgres.name, postgres.host, postgres.port, postgres.user
    )
}
