//! Migrations and the check for them, on a real Postgres.

mod support;

use metastore::MetastoreError;

#[tokio::test]
async fn an_empty_database_is_refused_with_the_way_out() {
    let metastore = support::empty();
    let refused = metastore.check_schema().await.unwrap_err();
    assert!(
        matches!(&refused, MetastoreError::Schema(m) if m.contains("YAKS_RUN_MIGRATIONS")),
        "{refused}"
    );
}

#[tokio::test]
async fn migrations_run_once_however_many_agents_start() {
    let metastore = support::empty();
    let runs = futures::future::join_all((0..4).map(|_| metastore.migrate())).await;
    assert!(runs.iter().all(Result::is_ok), "{runs:?}");
    metastore.check_schema().await.unwrap();
    assert_eq!(
        metastore.cluster_id().await.unwrap(),
        metastore.cluster_id().await.unwrap()
    );
}
