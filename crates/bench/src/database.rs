//! A Postgres of one case's own: on the disk, with every commit synced, with the tables of yaks, and nobody else in it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use metastore::{DbAuth, Metastore, NewTopic, PostgresConfig, SslMode, TopicCreation, TopicInfo, TopicSettings};
use private_postgres::{PrivatePostgres, PrivatePostgresConfig};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use types::TopicName;

const NAME: &str = "bench";

/// RDS gives Postgres a quarter of the machine's memory and Aurora three quarters; this holds all that is measured here.
const SHARED_BUFFERS_MB: u32 = 2048;

/// A running one. Dropping it stops it and deletes its data.
pub(crate) struct Database {
    server: PrivatePostgres,
}

impl Database {
    /// Starts it below `directory`, without tables.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let config = PrivatePostgresConfig {
            shared_buffers_mb: SHARED_BUFFERS_MB,
            ..PrivatePostgresConfig::new(directory.join("postgres"))
        };
        let server = PrivatePostgres::start(config)?;
        // From here on an error deletes it.
        let database = Self { server };
        database.server.create_database(NAME)?;
        Ok(database)
    }

    /// How it is reached, over so many connections.
    pub(crate) fn config(&self, connections: u32) -> PostgresConfig {
        PostgresConfig {
            host: self.server.host().to_owned(),
            port: self.server.port(),
            user: self.server.user().to_owned(),
            auth: DbAuth::Password,
            password: self.server.password().expose().into(),
            name: NAME.to_owned(),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: String::new(),
            pool_size: connections,
        }
    }

    /// The tables of yaks, made when they are not there, over so many connections.
    pub(crate) async fn metastore(&self, connections: u32) -> Result<Metastore> {
        let metastore = Metastore::new(&self.config(connections));
        metastore.migrate().await.context("the migrations do not apply")?;
        Ok(metastore)
    }

    /// A connection beside those of the metastore, with settings of its own.
    pub(crate) async fn connect<const N: usize>(&self, settings: [(&str, &str); N]) -> Result<PgConnection> {
        let options: PgConnectOptions = self.server.url(NAME).parse()?;
        let options = options.options(settings).disable_statement_logging();
        options.connect().await.context("Postgres takes no connection")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.server.stop();
        let _ = fs::remove_dir_all(self.server.data_dir());
    }
}

/// A new topic.
pub(crate) async fn create_topic(metastore: &Metastore, name: &str, partition_count: i32) -> Result<TopicInfo> {
    let new = NewTopic {
        name: TopicName::new(name)?,
        partition_count,
        settings: TopicSettings::default(),
    };
    match metastore.create_topics(&[new]).await?.pop() {
        Some(TopicCreation::Created(topic)) => Ok(topic),
        other => anyhow::bail!("topic {name} was not made: {other:?}"),
    }
}
