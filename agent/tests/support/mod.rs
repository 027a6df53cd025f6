//! The parts of an agent that work on Postgres alone, each on a migrated database of its own.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::broker::Broker;
use agent::client::Client;
use agent::cluster::lease::{Lease, LeaseTimes};
use agent::cluster::view::ClusterView;
use agent::config::{AckMode, Config};
use agent::configs::{BrokerConfigs, TopicDefaults};
use agent::fetch::cursors::Cursors;
use agent::fetch::planner::Planner;
use agent::fetch::read::ObjectReader;
use agent::fetch::reading::FetchMemory;
use agent::fetch::search::TimeSearches;
use agent::fetch::serve::Fetcher;
use agent::fetch::sessions::FetchSessions;
use agent::fetch::wait::LogEndsWatch;
use agent::group::coordinator::Coordinator;
use agent::group::limits::GroupLimits;
use agent::group::relay::{NoDialer, Relay};
use agent::group::tenure::Tenure;
use agent::produce::writer::WriterHandle;
use clap::Parser;
use daemon::Tasks;
use metastore::{
    DbAuth, Metastore, NewAgent, NewTopic, PostgresConfig, SslMode, TopicCreation, TopicInfo, TopicSettings,
};
use private_postgres::PrivatePostgres;
use storage::MemoryStore;
use tokio_util::sync::{CancellationToken, DropGuard};
use types::limits::{BATCH_BYTES_MAX, FETCH_SESSIONS_MAX};
use types::{SystemClock, SystemEntropy, TopicName};
use uuid::Uuid;

/// Partitions of a topic that is created without a count.
pub(crate) const PARTITIONS_DEFAULT: usize = 2;

/// Memory for everything, each.
const POOL_BYTES: usize = 64 * 1024 * 1024;

/// An agent's handlers' world; its tasks end with it.
pub(crate) struct TestAgent {
    pub(crate) broker: Arc<Broker>,
    pub(crate) rack: String,
    database: PostgresConfig,
    _running: DropGuard,
}

impl TestAgent {
    /// The first agent of a new cluster.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// The same, changed before it starts.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Broker)) -> Self {
        let database = database();
        Metastore::new(&database).migrate().await.expect("the migrations apply");
        Self::join(database, change).await
    }

    /// Another agent of the same cluster.
    pub(crate) async fn beside(&self) -> Self {
        Self::join(self.database.clone(), |_| ()).await
    }

    async fn join(database: PostgresConfig, change: impl FnOnce(&mut Broker)) -> Self {
        let metastore = Metastore::new(&database);
        let rack = Uuid::new_v4().to_string();
        let wanted = NewAgent {
            node_id: None,
            incarnation: Uuid::new_v4(),
            stream: None,
            host: format!("host-{rack}"),
            port: 9092,
            rack: rack.clone(),
            cache_url: String::new(),
            peer_address: String::new(),
            listeners: Vec::new(),
        };
        // No heartbeat runs here: the lease outlives the test.
        let times = LeaseTimes {
            ttl: Duration::from_secs(600),
            ..LeaseTimes::default()
        };
        let lease = Lease::take(metastore.clone(), wanted, times)
            .await
            .expect("a free node id");
        let (cluster, renewal) = ClusterView::load(metastore.clone(), lease.own())
            .await
            .expect("Postgres answers");
        let shutdown = CancellationToken::new();
        tokio::spawn(renewal.run(shutdown.clone()));
        let tenure = Tenure::new(Arc::clone(&cluster), lease.confirmed(), times.ttl);
        let tasks = Tasks::new(shutdown.clone());
        let groups = Coordinator::new(
            metastore.clone(),
            Arc::clone(&cluster),
            tenure.clone(),
            group_limits(),
            Arc::new(SystemEntropy),
            tasks.clone(),
        );
        let config = Config::try_parse_from(["yaks-agent"]).expect("defaults are legal");
        let mut broker = Broker {
            metastore: metastore.clone(),
            configs: BrokerConfigs::of(&config, cluster.node_id()),
            log_dir: agent::configs::broker::log_dir(&config),
            cluster,
            groups,
            relay: Relay::new(Arc::new(NoDialer), tenure, tasks),
            topic_defaults: TopicDefaults {
                auto_create: true,
                partition_count: i32::try_from(PARTITIONS_DEFAULT).expect("a small number"),
            },
            // Nothing is produced or fetched here.
            writer: WriterHandle::channel().0,
            fetcher: Fetcher {
                memory: FetchMemory::new(POOL_BYTES, POOL_BYTES),
                planner: Arc::new(Planner::new(metastore)),
                reader: ObjectReader::new(
                    None,
                    Arc::new(MemoryStore::new()),
                    Arc::new(MemoryStore::new()),
                    Arc::default(),
                ),
                ends: LogEndsWatch::default(),
                cursors: Cursors::default(),
                sessions: FetchSessions::new(FETCH_SESSIONS_MAX, Arc::new(SystemEntropy)),
                searches: TimeSearches::new(POOL_BYTES),
                stopping: shutdown.clone(),
            },
            ack_mode: AckMode::Auto,
            batch_bytes_max: BATCH_BYTES_MAX,
            fetch_bytes_max: 1 << 20,
            clock: Arc::new(SystemClock),
        };
        change(&mut broker);
        Self {
            broker: Arc::new(broker),
            rack,
            database,
            _running: shutdown.drop_guard(),
        }
    }
}

fn group_limits() -> GroupLimits {
    GroupLimits {
        session_min: Duration::from_secs(6),
        session_max: Duration::from_secs(1800),
        initial_rebalance_delay: Duration::ZERO,
        members_max: 100,
    }
}

/// A handle on a migrated database.
pub(crate) async fn fresh() -> Metastore {
    let metastore = Metastore::new(&database());
    metastore.migrate().await.expect("the migrations apply");
    metastore
}

/// Creates a topic with one partition.
pub(crate) async fn topic(metastore: &Metastore, name: &str) -> TopicInfo {
    let name = TopicName::new(name).expect("a legal name");
    let new = NewTopic {
        name,
        partition_count: 1,
        settings: TopicSettings::default(),
    };
    match metastore
        .create_topics(&[new])
        .await
        .expect("Postgres answers")
        .remove(0)
    {
        TopicCreation::Created(topic) => topic,
        other => panic!("{other:?}"),
    }
}

fn database() -> PostgresConfig {
    config_of(PrivatePostgres::shared())
}

/// How to reach a new database on a server.
pub(crate) fn config_of(server: &PrivatePostgres) -> PostgresConfig {
    PostgresConfig {
        host: server.host().to_owned(),
        port: server.port(),
        user: server.user().to_owned(),
        auth: DbAuth::Password,
        password: server.password().expose().into(),
        name: server.create_fresh_database().expect("a database of this test's own"),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: String::new(),
        pool_size: 4,
    }
}

/// A client that has not said who it is.
pub(crate) fn client() -> Client {
    Client::new(SocketAddr::from(([127, 0, 0, 1], 1)))
}

/// A client with a `client.id`.
pub(crate) fn client_named(id: &str) -> Client {
    Client {
        client_id: Some(id.into()),
        ..client()
    }
}
