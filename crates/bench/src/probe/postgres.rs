//! What a Postgres database has done, as it counts itself (`pg_stat_database`).

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

/// Transactions and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresCounts {
    /// Committed.
    pub transactions: u64,
    /// Inserted.
    pub inserted: u64,
    /// Updated.
    pub updated: u64,
    /// Fetched by an index.
    pub fetched: u64,
}

/// Backends report what they have done once a second and when they are idle: the last second of a short run may be missing.
const QUERY: &str = "select xact_commit, tup_inserted, tup_updated, tup_fetched from pg_stat_database \
                     where datname = current_database()";

/// Asks for the counters, over a connection of its own.
pub fn read(url: &str) -> Result<PostgresCounts> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(ask(url))
        .context("the counters of Postgres cannot be read")
}

async fn ask(url: &str) -> Result<PostgresCounts> {
    let options: sqlx::postgres::PgConnectOptions = url.parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    let row = sqlx::query(QUERY).fetch_one(&mut connection).await?;
    let count = |at: usize| -> Result<u64> { Ok(u64::try_from(row.try_get::<i64, _>(at)?)?) };
    let counts = PostgresCounts {
        transactions: count(0)?,
        inserted: count(1)?,
        updated: count(2)?,
        fetched: count(3)?,
    };
    connection.close().await?;
    Ok(counts)
}

/// What came between two readings.
pub fn between(before: &PostgresCounts, after: &PostgresCounts) -> PostgresCounts {
    PostgresCounts {
        transactions: after.transactions.saturating_sub(before.transactions),
        inserted: after.inserted.saturating_sub(before.inserted),
        updated: after.updated.saturating_sub(before.updated),
        fetched: after.fetched.saturating_sub(before.fetched),
    }
}
