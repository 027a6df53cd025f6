//! The metastore as a whole, and what every connection is set to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection};
use types::{Clock as _, SystemClock};

use super::connections::{CONNECTED_WITHIN, Connections};
use super::iam_token::IamTokens;
use super::transaction::Transaction;
use crate::{DbAuth, Lifecycle, MetastoreError, PostgresConfig, SslMode};

/// A frozen or lost client may not hold partition locks (docs/ARCHITECTURE.md); the same values are set on the roles of a deployment.
pub(super) const TIMEOUTS: [(&str, &str); 3] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("statement_timeout", "10s"),
];

/// How statements are planned: once per connection. All of them find their rows by keys that they are given in arrays, whose values tell the
/// planner nothing; planned anew each time, as Postgres prefers to, the fetch plan took longer to plan than to run. Such a plan outlives
/// the sizes that the tables had when it was made, so it must not rest on a table being small: hence no sequential scans where there is an
/// index. Nor is anything worth compiling here. <https://www.postgresql.org/docs/current/runtime-config-query.html>
pub(super) const PLANNING: [(&str, &str); 3] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// A token opens connections for 15 minutes. The age is the machine's, so that a function that slept takes a new one when it wakes.
const TOKEN_RENEWED_AFTER_MS: i64 = 10 * 60 * 1000;

/// The tables in Postgres.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pub(super) pool: Connections,
    login: Option<Arc<Login>>,
}

/// What stands for a password that does not last.
#[derive(Debug)]
struct Login {
    tokens: IamTokens,
    /// In ms since 1970; 0: never.
    renewed_at: AtomicI64,
}

impl Postgres {
    /// Connects when first used.
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        let login = (config.auth == DbAuth::Iam).then(|| Login {
            tokens: IamTokens::new(config),
            renewed_at: AtomicI64::new(0),
        });
        let options = connect_options(config).options(TIMEOUTS).options(PLANNING);
        Self {
            pool: Connections::new(options, config.pool_size),
            login: login.map(Arc::new),
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, MetastoreError> {
        Ok(self.pool.begin().await?)
    }
}

#[async_trait]
impl Lifecycle for Postgres {
    // On a connection of its own: the pool would try again and again until its time is over, and then not say why.
    async fn ping(&self) -> Result<(), MetastoreError> {
        self.renew_login().await?;
        let options = self.pool.options();
        let connected = tokio::time::timeout(CONNECTED_WITHIN, PgConnection::connect_with(&options)).await;
        let connection = connected.map_err(|_| MetastoreError::Unavailable("no answer within 5 s".to_owned()))??;
        connection.close().await?;
        Ok(())
    }

    async fn renew_login(&self) -> Result<(), MetastoreError> {
        let Some(login) = &self.login else { return Ok(()) };
        let now = SystemClock.now().0;
        let age_ms = now - login.renewed_at.load(Ordering::Relaxed);
        if (0..TOKEN_RENEWED_AFTER_MS).contains(&age_ms) {
            return Ok(());
        }
        let token = login.tokens.next().await?;
        let options = self.pool.options();
        self.pool.set_options(options.as_ref().clone().password(&token));
        login.renewed_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

fn connect_options(config: &PostgresConfig) -> PgConnectOptions {
    let ssl_mode = match config.ssl_mode {
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Prefer => PgSslMode::Prefer,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .password(config.password.reveal())
        .database(&config.name)
        .ssl_mode(ssl_mode)
        .application_name("yaks");
    if config.ssl_root_cert.is_empty() {
        options
    } else {
        options.ssl_root_cert(&config.ssl_root_cert)
    }
}

#[cfg(test)]
mod tests {
    use private_postgres::PrivatePostgres;

    use super::*;

    #[tokio::test]
    async fn a_statement_is_planned_once() {
        let server = PrivatePostgres::shared();
        let postgres = Postgres::new(&PostgresConfig {
            host: server.host().to_owned(),
            port: server.port(),
            user: server.user().to_owned(),
            auth: DbAuth::Password,
            password: server.password().expose().into(),
            name: server.create_fresh_database().expect("a database"),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: String::new(),
            pool_size: 1,
        });
        for n in 0..3 {
            let sum = sqlx::query_scalar::<_, i64>("SELECT sum(n) FROM unnest($1::int4[]) AS n").bind(vec![n; 10]);
            assert_eq!(sum.fetch_one(&postgres.pool).await.expect("a sum"), i64::from(n) * 10);
        }
        let plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%unnest%'";
        let plans: (i64, i64) = sqlx::query_as(plans).fetch_one(&postgres.pool).await.expect("counts");
        assert_eq!(plans, (3, 0));
    }
}
