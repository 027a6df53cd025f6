//! A migrated database of its own for every test, on the Postgres that the tests of one process share.

#![allow(dead_code, reason = "no test file uses all of it")]

use metastore::{DbAuth, Metastore, PostgresConfig, SslMode};
use private_postgres::PrivatePostgres;

/// A handle on an empty database.
pub(crate) fn empty() -> Metastore {
    Metastore::new(&config())
}

/// How to reach an empty database.
pub(crate) fn config() -> PostgresConfig {
    let server = PrivatePostgres::shared();
    let name = server.create_fresh_database().expect("a database of this test's own");
    PostgresConfig {
        host: server.host().to_owned(),
        port: server.port(),
        user: server.user().to_owned(),
        auth: DbAuth::Password,
        password: server.password().expose().into(),
        name,
        ssl_mode: SslMode::Disable,
        ssl_root_cert: String::new(),
        pool_size: 8,
    }
}

/// A handle on a migrated database.
pub(crate) async fn fresh() -> Metastore {
    let metastore = empty();
    metastore.migrate().await.expect("the migrations apply");
    metastore
}
