//! Connections to Postgres: kept for the next statement, and none of them waited for without end.
//!
//! A server that vanishes without a word, as in a failover, leaves a client waiting for a quarter of an hour, or for ever where it
//! had acknowledged the request: TCP knows no better. So each answer has a time limit here, longer than the server's own for a
//! statement. A connection whose answer did not come, or was not waited for, is closed and not used again: what is under way on it
//! is unknown. Not sqlx's pool: that one asks a connection whether it lives each time it is given back, which is a round trip
//! for every statement, and waits for the answer without a limit while the connection's place is taken (sqlx issue 4349).

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection as _, Describe, Either, Execute, Executor, PgConnection, SqlStr};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long a caller waits for a free connection, or a new one, before it is told "unavailable".
pub(super) const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// How long a statement may take; the server ends it after 10 s (`statement_timeout`), and says so.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);
/// A connection that was idle for longer is asked whether it still lives before it is used. So a Postgres that was
/// started again costs no caller a failed statement, although every connection has died.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// And has so long to say so: there must be time left to make another.
const ALIVE_WITHIN: Duration = Duration::from_secs(1);
/// A connection is closed after so much time without use.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// And after this, however much it was used: behind a name that moves, connections move too.
const AGE_MAX: Duration = Duration::from_secs(1800);
/// Wait before a server that refuses connections, because it starts, is tried again; doubles up to the largest.
const REFUSED_WAIT_MIN: Duration = Duration::from_millis(10);
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(1);

/// The connections of a process to one database; cheap to clone. Statements run on `&Connections` as on sqlx's pool.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pool: Pool<Maker>,
    in_use: TaskTracker,
}

impl Connections {
    /// So many at most; the first is made when it is needed.
    pub(super) fn new(options: PgConnectOptions, connections_max: u32) -> Self {
        let maker = Maker(RwLock::new(Arc::new(options)));
        // The one used last comes first, so that those that are too many stay idle.
        let pool = Pool::builder(maker)
            .max_size(connections_max as usize)
            .queue_mode(QueueMode::Lifo);
        Self {
            pool: pool
                .build()
                .expect("without time limits of its own a pool needs no runtime"),
            in_use: TaskTracker::new(),
        }
    }

    /// How new connections are made.
    pub(super) fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.manager().options()
    }

    /// Connections that are made from now on are made so.
    pub(super) fn set_options(&self, options: PgConnectOptions) {
        let mut current = self.pool.manager().0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(options);
    }

    /// A connection for one or several statements.
    pub(super) async fn get(&self) -> Result<Borrowed, sqlx::Error> {
        self.pool.retain(|_, used| used.last_used() < IDLE_MAX);
        let got = timeout(CONNECTED_WITHIN, self.pool.get()).await;
        match got.map_err(|_| sqlx::Error::PoolTimedOut)? {
            Ok(connection) => Ok(Borrowed {
                connection: Some(connection),
                _in_use: self.in_use.token(),
            }),
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Closed) => Err(sqlx::Error::PoolClosed),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Waits for those in use, then closes all.
    pub(super) async fn close(&self) {
        self.in_use.close();
        self.in_use.wait().await;
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for connection in idle {
            let _ = timeout(CONNECTED_WITHIN, connection.close()).await;
        }
    }
}

/// Makes connections.
#[derive(Debug)]
struct Maker(RwLock<Arc<PgConnectOptions>>);

impl Maker {
    fn options(&self) -> Arc<PgConnectOptions> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl managed::Manager for Maker {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// Tries again while the server starts; whoever waits for it sets the limit.
    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let mut wait = REFUSED_WAIT_MIN;
        loop {
            match PgConnection::connect_with(&self.options()).await {
                Err(error) if is_starting(&error) => sleep(wait).await,
                made => return made,
            }
            wait = (wait * 2).min(REFUSED_WAIT_MAX);
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, used: &Metrics) -> RecycleResult<sqlx::Error> {
        if used.age() > AGE_MAX {
            return Err(RecycleError::message("it is old"));
        }
        if used.last_used() > TRUSTED_FOR {
            let alive = timeout(ALIVE_WITHIN, connection.ping()).await;
            alive.map_err(|_| RecycleError::message("it does not answer"))??;
        }
        Ok(())
    }
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// A connection in use. Goes back when it is given back, and is closed when it is dropped before.
#[derive(Debug)]
pub(super) struct Borrowed {
    connection: Option<Object<Maker>>,
    _in_use: TaskTrackerToken,
}

impl Borrowed {
    /// Nothing is under way on it any more.
    pub(super) fn give_back(mut self) {
        drop(self.connection.take());
    }

    /// Gives it back unless `result` says that it is of no more use.
    fn give_back_after<T>(self, result: &Result<T, sqlx::Error>) {
        if matches!(result, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.give_back();
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

impl Deref for Borrowed {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("it is taken only at the end")
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is taken only at the end")
    }
}

/// The answer of the server to a statement, within its time.
pub(super) async fn answered<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let began = Instant::now();
    timeout(ANSWERED_WITHIN, statement).await.unwrap_or_else(|_| {
        let text = format!("no answer for {} s", began.elapsed().as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
    })
}

/// What a statement yields: rows, and how many it changed.
pub(super) type Step = Either<PgQueryResult, PgRow>;

/// Answers are collected before they are handed on: none is long, and the connection is free the sooner.
impl<'p> Executor<'p> for &'p Connections {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let steps = async move {
            let mut connection = self.get().await?;
            let steps = answered(connection.fetch_many(query).try_collect::<Vec<_>>()).await;
            connection.give_back_after(&steps);
            steps
        };
        in_turn(steps).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        Box::pin(async move {
            let mut connection = self.get().await?;
            let row = answered(connection.fetch_optional(query)).await;
            connection.give_back_after(&row);
            row
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut connection = self.get().await?;
            let statement = answered(connection.prepare_with(sql, parameters)).await;
            connection.give_back_after(&statement);
            statement
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<sqlx::Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut connection = self.get().await?;
            let described = answered(connection.describe(sql)).await;
            connection.give_back_after(&described);
            described
        })
    }
}

/// Collected steps, one after the other.
pub(super) fn in_turn<'e>(
    steps: impl Future<Output = Result<Vec<Step>, sqlx::Error>> + Send + 'e,
) -> impl stream::Stream<Item = Result<Step, sqlx::Error>> + Send + 'e {
    stream::once(steps)
        .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
        .try_flatten()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use private_postgres::PrivatePostgres;
    use sqlx::{query, query_scalar};

    use super::*;

    /// One connection at most.
    fn one() -> Connections {
        let url = PrivatePostgres::shared().url("postgres");
        Connections::new(url.parse().unwrap(), 1)
    }

    async fn backend(connections: &Connections) -> i32 {
        query_scalar("SELECT pg_backend_pid()")
            .fetch_one(connections)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_used_again_after_an_answer_and_after_a_refusal() {
        let connections = one();
        let first = backend(&connections).await;
        assert!(query("SELECT 1 / 0").execute(&connections).await.is_err());
        assert_eq!(backend(&connections).await, first);
    }

    #[tokio::test]
    async fn a_connection_whose_answer_nobody_waits_for_leaves_its_place_at_once() {
        let connections = one();
        let first = backend(&connections).await;
        let long = query("SELECT pg_sleep(60)");
        assert!(
            timeout(Duration::from_millis(20), long.execute(&connections))
                .await
                .is_err()
        );
        let next = timeout(Duration::from_secs(20), backend(&connections)).await;
        assert_ne!(next.unwrap(), first);
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_is_rolled_back_and_the_next_one_begins_anew() {
        let connections = one();
        let table = format!("dropped_{}", std::process::id());
        let create = async |transaction: &mut super::super::transaction::Transaction| {
            sqlx::QueryBuilder::new(format!("CREATE TABLE {table} (id int)"))
                .build()
                .execute(transaction)
                .await
        };
        let mut dropped = connections.begin().await.unwrap();
        create(&mut dropped).await.unwrap();
        drop(dropped);
        let mut again = connections.begin().await.unwrap();
        create(&mut again).await.unwrap();
        again.rollback().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_not_waited_for() {
        let never = std::future::pending::<Result<(), sqlx::Error>>();
        let error = answered(never).await.unwrap_err();
        assert!(
            matches!(&error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut),
            "{error}"
        );
    }

    #[tokio::test]
    async fn closing_waits_for_what_is_under_way() {
        let connections = one();
        let in_use = connections.get().await.unwrap();
        let mut closing = Box::pin(connections.close());
        assert!((&mut closing).now_or_never().is_none());
        in_use.give_back();
        closing.await;
        assert!(matches!(connections.get().await, Err(sqlx::Error::PoolClosed)));
    }
}
