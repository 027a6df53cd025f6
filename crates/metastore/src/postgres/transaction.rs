//! A transaction on a connection of its own.

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Execute, Executor, SqlStr, raw_sql};

use super::connections::{Borrowed, Connections, Step, answered, in_turn};

/// Statements run on `&mut Transaction`. Dropped before it is committed it is rolled back: its connection is closed, which is also
/// right while a statement is under way whose answer nobody waits for.
#[derive(Debug)]
pub(super) struct Transaction(Borrowed);

impl Connections {
    pub(super) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let mut connection = self.get().await?;
        answered(raw_sql("BEGIN").execute(&mut *connection)).await?;
        Ok(Transaction(connection))
    }
}

impl Transaction {
    /// An error leaves it open whether it is committed.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Keeps the connection, which a transaction that is only dropped does not.
    pub(super) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        answered(raw_sql(how).execute(&mut *self.0)).await?;
        self.0.give_back();
        Ok(())
    }
}

impl<'t> Executor<'t> for &'t mut Transaction {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        't: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        in_turn(answered(self.0.fetch_many(query).try_collect())).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        't: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        Box::pin(answered(self.0.fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        't: 'e,
    {
        Box::pin(answered(self.0.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<sqlx::Postgres>, sqlx::Error>>
    where
        't: 'e,
    {
        Box::pin(answered(self.0.describe(sql)))
    }
}
