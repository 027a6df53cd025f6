//! Leases and the cluster view over time, on a real Postgres: predecessors, lost leases, and a Postgres that goes away.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use agent::cluster::lease::{Lease, LeaseTimes};
use agent::cluster::view::ClusterView;
use daemon::Readiness;
use metastore::{LeaseError, Metastore, NewAgent};
use private_postgres::{PrivatePostgres, PrivatePostgresConfig};
use support::{config_of, fresh};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use types::{NodeId, TopicName};
use uuid::Uuid;

const TIMES: LeaseTimes = LeaseTimes {
    ttl: Duration::from_millis(1000),
    heartbeat: Duration::from_millis(100),
};

/// Longest anything here may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn agent(node_id: Option<i32>, host: &str) -> NewAgent {
    NewAgent {
        node_id: node_id.map(NodeId),
        incarnation: Uuid::new_v4(),
        stream: None,
        host: host.to_owned(),
        port: 9092,
        rack: String::new(),
        cache_url: String::new(),
        peer_address: String::new(),
        listeners: Vec::new(),
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_killed_agent_gets_its_node_id_back_when_its_old_lease_has_run_out() {
    let metastore = fresh().await;
    Lease::take(metastore.clone(), agent(Some(0), "a"), TIMES)
        .await
        .unwrap();
    let started = Instant::now();
    let lease = Lease::take(metastore, agent(Some(0), "a"), TIMES).await.unwrap();
    assert_eq!(lease.node_id(), NodeId(0));
    assert!(started.elapsed() >= TIMES.ttl / 2, "the old lease still had its time");
}

#[tokio::test]
async fn a_node_id_that_another_agent_has_is_refused_at_once() {
    let metastore = fresh().await;
    Lease::take(metastore.clone(), agent(Some(0), "a"), TIMES)
        .await
        .unwrap();
    let refused = Lease::take(metastore, agent(Some(0), "b"), TIMES).await.unwrap_err();
    assert!(matches!(refused, LeaseError::Taken(by) if by.host == "a"));
}

#[tokio::test]
async fn a_kept_lease_outlives_its_ttl_and_is_given_back_at_the_end() {
    let metastore = fresh().await;
    let lease = Lease::take(metastore.clone(), agent(None, "a"), TIMES).await.unwrap();
    let (_announce, stream) = watch::channel(None);
    let stop = CancellationToken::new();
    let kept = tokio::spawn(lease.keep(stream, Readiness::new().condition("lease"), stop.clone()));
    tokio::time::sleep(TIMES.ttl * 2).await;
    assert_eq!(metastore.live_agents().await.unwrap().len(), 1);
    stop.cancel();
    timeout(PATIENCE, kept).await.unwrap().unwrap();
    assert!(metastore.live_agents().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_lease_is_reported_and_taken_again_when_it_is_free() {
    let metastore = fresh().await;
    let lease = Lease::take(metastore.clone(), agent(Some(0), "a"), TIMES)
        .await
        .unwrap();
    let thief = rob(&metastore).await;
    let readiness = Readiness::new();
    let (_announce, stream) = watch::channel(None);
    let _kept = tokio::spawn(lease.keep(stream, readiness.condition("lease"), CancellationToken::new()));
    until("the loss is reported", async || {
        readiness.explain().contains("taken by another agent")
    })
    .await;
    metastore.release_lease(NodeId(0), thief).await.unwrap();
    until("the lease is ours again", async || readiness.is_ready()).await;
    assert_eq!(metastore.live_agents().await.unwrap()[0].host, "a");
}

#[tokio::test]
async fn an_agent_that_may_have_any_id_takes_another_one_for_a_lost_one() {
    let metastore = fresh().await;
    let lease = Lease::take(metastore.clone(), agent(None, "a"), TIMES).await.unwrap();
    rob(&metastore).await;
    let mut own = lease.own();
    let (_announce, stream) = watch::channel(None);
    let _kept = tokio::spawn(lease.keep(stream, Readiness::new().condition("lease"), CancellationToken::new()));
    let moved = timeout(PATIENCE, own.wait_for(|own| own.node_id == NodeId(1))).await;
    assert!(moved.unwrap().is_ok());
}

/// Takes node id 0 once its lease has run out; answers the new holder's incarnation.
async fn rob(metastore: &Metastore) -> Uuid {
    let thief = agent(Some(0), "thief");
    until("the lease runs out", async || {
        metastore.take_lease(&thief, 60_000).await.is_ok()
    })
    .await;
    thief.incarnation
}

#[tokio::test]
async fn a_view_serves_what_it_knows_while_postgres_is_away_and_catches_up_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    // Run as root, the server runs as somebody else, who has to get in.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = PrivatePostgres::start(PrivatePostgresConfig::new(directory.path().join("data"))).unwrap();
    let config = config_of(&server);
    let metastore = Metastore::new(&config);
    metastore.migrate().await.unwrap();
    let known = support::topic(&metastore, "known").await;
    let lease = Lease::take(metastore.clone(), agent(None, "a"), TIMES).await.unwrap();
    let (view, renewal) = ClusterView::load(metastore.clone(), lease.own()).await.unwrap();
    let stop = CancellationToken::new();
    let _stop_at_the_end = stop.clone().drop_guard();
    let (_announce, stream) = watch::channel(None);
    tokio::spawn(renewal.run(stop.clone()));
    let readiness = Readiness::new();
    tokio::spawn(lease.keep(stream, readiness.condition("lease"), stop));

    server.stop().unwrap();
    let missing = TopicName::new("missing").unwrap();
    let asked = Instant::now();
    assert!(view.find_topic_by_name(&missing).await.is_err());
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(
        view.find_topic_by_name(&known.name).await.unwrap().unwrap().id,
        known.id
    );
    assert_eq!(view.agents().len(), 1);

    let mut again = PrivatePostgresConfig::new(directory.path().join("data"));
    again.port = Some(config.port);
    let _server = PrivatePostgres::start(again).unwrap();
    until("postgres is asked again", async || {
        matches!(view.find_topic_by_name(&missing).await, Ok(None))
    })
    .await;
    until("the lease is renewed", async || {
        metastore.live_agents().await.is_ok_and(|agents| agents.len() == 1)
    })
    .await;
    assert!(readiness.is_ready());
}
