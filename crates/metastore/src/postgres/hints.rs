//! Hints over Postgres NOTIFY. Sent outside the commit: a transaction that notifies commits under one lock of the whole
//! server.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::Postgres;
use super::connections::Connections;
use crate::{HintSource, Hints, MetastoreError};

const CHANNEL: &str = "yaks_commit";

/// Pause before another try to reach a Postgres that is away.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// After so much silence we ask whether anybody is there still: a connection that a firewall forgot stays silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the answer may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

#[async_trait]
impl Hints for Postgres {
    async fn notify_commit(&self, payload: &str) -> Result<(), MetastoreError> {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(payload)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    fn hint_source(&self) -> Box<dyn HintSource> {
        Box::new(Notifications {
            connections: self.pool.clone(),
            listener: None,
        })
    }
}

/// A listener with a connection of its own, made again whenever it is lost.
#[derive(Debug)]
struct Notifications {
    /// Knows how to sign in now: passwords are renewed there.
    connections: Connections,
    listener: Option<PgListener>,
}

#[async_trait]
impl HintSource for Notifications {
    async fn recv(&mut self) -> String {
        loop {
            match self.try_recv().await {
                Ok(Some(payload)) => return payload,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "commit hints are interrupted");
                    self.listener = None;
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

impl Notifications {
    async fn try_recv(&mut self) -> Result<Option<String>, sqlx::Error> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            none => none.insert(connect(&self.connections.options()).await?),
        };
        match timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(received) => Ok(received?.map(|hint| hint.payload().to_owned())),
            Err(_) => match timeout(PROBE_TIMEOUT, listener.execute("SELECT 1")).await {
                Ok(answer) => answer.map(|_| None),
                Err(_) => Err(sqlx::Error::PoolTimedOut),
            },
        }
    }
}

/// In a pool of its own each time: in the shared one it would hold a connection for ever and closing would wait for
/// it, and a dead connection would keep the place of its successor.
async fn connect(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None);
    let mut listener = PgListener::connect_with(&pool.connect_lazy_with(options.clone())).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use private_postgres::PrivatePostgres;

    use super::*;

    #[tokio::test]
    async fn a_login_that_was_renewed_is_that_of_the_next_connection() {
        let url = PrivatePostgres::shared().url("postgres");
        let login: PgConnectOptions = url.parse().unwrap();
        let expired = login.clone().username("nobody");
        let mut hints = Notifications {
            connections: Connections::new(expired, 1),
            listener: None,
        };
        assert!(hints.try_recv().await.is_err());
        hints.connections.set_options(login);
        let sender = hints.connections.clone();
        let sending = async {
            loop {
                let sent = sqlx::query("SELECT pg_notify($1, 'hint')").bind(CHANNEL);
                sent.execute(&sender).await.unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            never = sending => never,
            hint = timeout(Duration::from_secs(30), hints.recv()) => assert_eq!(hint.unwrap(), "hint"),
        }
    }
}
