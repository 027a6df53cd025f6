//! A Postgres that is started again.

use std::time::Duration;

use futures::future::join_all;
use metastore::{DbAuth, Metastore, PostgresConfig, SslMode};
use private_postgres::PrivatePostgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_fails_because_postgres_was_started_again() {
    const CONNECTIONS: u32 = 6;
    let server = PrivatePostgres::temporary().unwrap();
    let metastore = Metastore::new(&PostgresConfig {
        host: server.host().to_owned(),
        port: server.port(),
        user: server.user().to_owned(),
        auth: DbAuth::Password,
        password: server.password().expose().into(),
        name: server.create_fresh_database().unwrap(),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: String::new(),
        pool_size: CONNECTIONS,
    });
    metastore.migrate().await.unwrap();
    // As many at once as there are connections, so that all of them are open.
    let read = || join_all((0..CONNECTIONS).map(|_| metastore.topics()));
    assert!(read().await.iter().all(Result::is_ok));
    server.kill().unwrap();
    server.start_again().unwrap();
    // What was used within the last second is trusted; an outage takes longer.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for answer in read().await {
        answer.unwrap();
    }
}
