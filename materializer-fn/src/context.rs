//! What outlives an invocation: the connections. Made once per process; nothing here waits for Postgres before the
//! first event does.

use std::sync::Arc;

use metastore::{Committer, Metastore, MetastoreError, PostgresConfig};
use storage::{ObjectStore, S3Config, S3ConfigError, S3Store};
use tokio::sync::OnceCell;
use types::{Clock, Entropy, SystemClock, SystemEntropy};

use crate::limits::{DB_POOL_SIZE_MAX, S3_TIMEOUTS};
use crate::{Config, DeadLetters};

/// How long the sweep waits before it does what cannot be undone, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    /// How long a dead stream must stand still before it is ended.
    pub stream_ms: i64,
    /// How long an orphan is kept after it was found.
    pub orphan_ms: i64,
}

/// Connections and settings that every invocation of this process shares.
#[derive(Debug)]
pub struct Context {
    /// Postgres.
    pub metastore: Metastore,
    /// S3.
    pub store: Arc<dyn ObjectStore>,
    /// What the sweep waits for.
    pub graces: Graces,
    /// Where poison goes; `None`: nowhere, it is logged and counted.
    pub dead_letters: Option<DeadLetters>,
    /// The time; read for the deadline that Lambda gives.
    pub clock: Arc<dyn Clock>,
    /// Where the content ids of tombstones come from.
    pub entropy: Arc<dyn Entropy>,
    committer: OnceCell<Committer>,
}

impl Context {
    /// Makes the clients; none of S3, SQS and Postgres is asked anything yet.
    pub async fn start(config: &Config) -> Result<Self, S3ConfigError> {
        let metastore = postgres(&config.postgres);
        let store = s3(&config.s3).await?;
        let context = Self::new(metastore, store, config.graces());
        let dead_letters = config.dead_letter_queue.0.clone();
        Ok(context.with_dead_letters(dead_letters.map(|url| DeadLetters::new(url, config.s3.clone()))))
    }

    /// A context of clients made elsewhere, with the machine's time and randomness.
    pub fn new(metastore: Metastore, store: Arc<dyn ObjectStore>, graces: Graces) -> Self {
        Self {
            metastore,
            store,
            graces,
            dead_letters: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            committer: OnceCell::new(),
        }
    }

    /// The same with somewhere for poison to go.
    #[must_use]
    pub fn with_dead_letters(self, dead_letters: Option<DeadLetters>) -> Self {
        Self { dead_letters, ..self }
    }

    /// The same with time and randomness from elsewhere: the simulator brings its own.
    #[must_use]
    pub fn with_nature(self, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, ..self }
    }

    /// The committer; the first call asks Postgres for the cluster's id.
    pub async fn committer(&self) -> Result<&Committer, MetastoreError> {
        let make = || async {
            let cluster = self.metastore.cluster_id().await?;
            Ok(Committer::new(self.metastore.clone(), Arc::clone(&self.store), cluster))
        };
        self.committer.get_or_try_init(make).await
    }
}

fn postgres(config: &PostgresConfig) -> Metastore {
    Metastore::new(&PostgresConfig {
        pool_size: config.pool_size.min(DB_POOL_SIZE_MAX),
        ..config.clone()
    })
}

async fn s3(config: &S3Config) -> Result<Arc<dyn ObjectStore>, S3ConfigError> {
    Ok(Arc::new(S3Store::with_timeouts(config, S3_TIMEOUTS).await?))
}
