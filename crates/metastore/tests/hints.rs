//! Commit hints on a real Postgres.

mod support;

use std::time::Duration;

use metastore::CommitHints;
use private_postgres::PrivatePostgres;
use sqlx::Connection;
use support::fresh;
use tokio::time::timeout;

/// Sends until one arrives: the listener connects when it is first asked, and what was sent before is lost.
async fn hint_arrives(metastore: &metastore::Metastore, hints: &mut CommitHints, payload: &str) {
    let sending = async {
        loop {
            metastore.notify_commit(payload).await.expect("Postgres answers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let arriving = async { while hints.recv().await != payload {} };
    tokio::select! {
        never = sending => never,
        arrived = timeout(Duration::from_secs(30), arriving) => arrived.expect("a hint arrives"),
    }
}

/// Ends the sessions of all listeners, as a failover would; how many there were.
async fn terminate_listeners() -> usize {
    let url = PrivatePostgres::shared().url("postgres");
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("Postgres answers");
    let ended = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'");
    ended.fetch_all(&mut connection).await.expect("Postgres answers").len()
}

#[tokio::test]
async fn hints_arrive_again_after_the_connection_was_lost() {
    let metastore = fresh().await;
    let mut hints = CommitHints::listen(&metastore);
    hint_arrives(&metastore, &mut hints, "before").await;
    assert!(terminate_listeners().await > 0);
    hint_arrives(&metastore, &mut hints, "after").await;
}
