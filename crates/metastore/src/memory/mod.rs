//! The metastore in memory: the same traits over ordered maps, for the simulator and for tests.
//!
//! Every call takes one lock for as long as it works on the tables and never across an await, so calls are as
//! serialized as Postgres's locks make its transactions where they matter. What a commit decides is asked of
//! `commit::decide`, as everywhere. Nothing here reads a machine's clock, draws a random number or walks a hash map: the
//! same calls in the same order give the same tables, byte for byte.
//!
//! [`MemoryMetastore`] is the database; [`MemoryMetastore::connect`] gives a process its [`Metastore`], with a [`Weather`]
//! of its own and closed on its own, as each has its own pool on the one Postgres.

mod audits;
mod cluster;
mod commits;
mod consumer_groups;
mod group_offsets;
mod hints;
mod leases;
mod lifecycle;
mod log_index;
mod orphans;
mod partitions;
mod producer_ids;
mod producer_states;
mod streams;
mod sweeps;
pub mod tables;
mod topics;
mod weather;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use types::{Clock, ClusterId, TimestampMs};

pub use weather::{Calm, Weather};

use self::hints::Channel;
use self::tables::Tables;
use crate::{Metastore, MetastoreError};

/// A database in memory, which lives as long as anybody holds it; cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryMetastore(Arc<Database>);

#[derive(Debug)]
struct Database {
    cluster: ClusterId,
    clock: Arc<dyn Clock>,
    tables: Mutex<Tables>,
    hints: Channel,
}

impl MemoryMetastore {
    /// An empty database whose time is `clock`'s.
    pub fn new(cluster: ClusterId, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Database {
            cluster,
            clock,
            tables: Mutex::default(),
            hints: Channel::default(),
        }))
    }

    /// One process's handle on it. Every call goes through `weather`; closing the handle closes no other.
    pub fn connect(&self, weather: Arc<dyn Weather>) -> Metastore {
        Metastore::over(Connection {
            database: Arc::clone(&self.0),
            weather,
            closed: AtomicBool::new(false),
        })
    }

    /// A copy of all tables as they stand now, past any weather: for whoever judges a run.
    pub fn tables(&self) -> Tables {
        self.0.lock().clone()
    }

    /// Changes the tables behind everybody's back: for tests that need a state no call leads to.
    pub fn tamper(&self, change: impl FnOnce(&mut Tables)) {
        change(&mut self.0.lock());
    }
}

impl Database {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nobody panics while holding the tables")
    }
}

/// A process's way to the database.
#[derive(Debug)]
struct Connection {
    database: Arc<Database>,
    weather: Arc<dyn Weather>,
    closed: AtomicBool,
}

impl Connection {
    /// Makes one call of the method `name`: whole or not at all, also when its future is dropped half-way.
    async fn call<T: Send>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Tables, TimestampMs) -> T + Send,
    ) -> Result<T, MetastoreError> {
        self.check_open()?;
        self.weather.before(name).await?;
        // The process may have closed its pool while it waited.
        self.check_open()?;
        let done = work(&mut self.database.lock(), self.database.clock.now());
        self.weather.after(name).await?;
        Ok(done)
    }

    fn check_open(&self) -> Result<(), MetastoreError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(MetastoreError::Unavailable("closed by this process".to_owned()));
        }
        Ok(())
    }
}
