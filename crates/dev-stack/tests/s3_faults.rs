//! Every fault of the wire does what it says, seen through the client that the deployables use.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dev_stack::s3::{LatencyProfile, Outage, S3Config, S3Fault, S3Server};
use storage::{GetRange, ObjectStore as _, PutOutcome, S3Store, S3Timeouts, StorageError, StorageErrorKind};
use types::ObjectKey;

struct Fixture {
    server: S3Server,
    client: S3Store,
    _directory: tempfile::TempDir,
}

const BODY_BYTES: usize = 300_000;

impl Fixture {
    async fn with(faults: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = S3Config {
            directory: directory.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            bucket: "test-bucket".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
            seed: 7,
        };
        let server = S3Server::start(config, Arc::new(|_| ())).await.unwrap();
        let client = client_of(&server).await;
        for fault in faults {
            server.faults().set(fault.parse().unwrap());
        }
        Self {
            server,
            client,
            _directory: directory,
        }
    }

    async fn put(&self, name: &str) -> Result<PutOutcome, StorageError> {
        self.client
            .put_if_absent(&ObjectKey::new(name), Bytes::from(vec![7; BODY_BYTES]))
            .await
    }

    async fn get(&self, name: &str) -> Result<usize, StorageError> {
        let got = self.client.get(&ObjectKey::new(name), GetRange::Full).await?;
        Ok(got.bytes.len())
    }

    /// Whether the object is really there.
    async fn has(&self, name: &str) -> bool {
        self.server.faults().heal();
        self.get(name).await.is_ok()
    }
}

async fn client_of(server: &S3Server) -> S3Store {
    let config = storage::S3Config {
        endpoint: server.endpoint(),
        region: "us-east-1".to_owned(),
        access_key: "test".to_owned(),
        secret_key: "test".into(),
        path_style: true,
        bucket: "test-bucket".to_owned(),
    };
    let timeouts = S3Timeouts {
        connect: Duration::from_secs(1),
        attempt: Duration::from_secs(1),
        total: Duration::from_secs(10),
    };
    S3Store::with_timeouts(&config, timeouts).await.unwrap()
}

fn kind(result: Result<PutOutcome, StorageError>) -> StorageErrorKind {
    result.expect_err("the PUT meets a fault").kind
}

#[tokio::test]
async fn a_put_that_fails_or_is_reset_does_not_happen() {
    for fault in ["put:fail=1", "put:reset=1"] {
        let fixture = Fixture::with(&[fault]).await;
        assert_eq!(kind(fixture.put("a").await), StorageErrorKind::Unavailable, "{fault}");
        assert!(!fixture.has("a").await, "{fault}");
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_has_happened() {
    let fixture = Fixture::with(&["put:lost=1"]).await;
    assert_eq!(kind(fixture.put("a").await), StorageErrorKind::Unavailable);
    assert!(fixture.has("a").await);
    assert_eq!(fixture.put("a").await.unwrap(), PutOutcome::AlreadyExists);
    assert_eq!(fixture.server.faults().count(S3Fault::Lost), 1);
}

#[tokio::test]
async fn a_late_put_happens_after_its_connection_is_gone() {
    let fixture = Fixture::with(&["put:late=1"]).await;
    assert_eq!(kind(fixture.put("a").await), StorageErrorKind::Unavailable);
    let deadline = Instant::now() + Duration::from_secs(25);
    while !fixture.has("a").await {
        assert!(Instant::now() < deadline, "it never happened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn throttling_and_conflicts_are_told_apart_and_do_nothing() {
    let fixture = Fixture::with(&["put:throttle=1"]).await;
    assert_eq!(kind(fixture.put("a").await), StorageErrorKind::Throttled);
    assert!(!fixture.has("a").await);
    fixture.server.faults().set("conflict=1".parse().unwrap());
    assert_eq!(kind(fixture.put("a").await), StorageErrorKind::Conflict);
    assert!(!fixture.has("a").await);
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_not_a_short_object() {
    let fixture = Fixture::with(&["get:partial=1"]).await;
    fixture.put("a").await.unwrap();
    let error = fixture.get("a").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Unavailable, "{error}");
    assert_eq!(fixture.server.faults().count(S3Fault::Partial), 1);
    fixture.server.faults().heal();
    assert_eq!(fixture.get("a").await.unwrap(), BODY_BYTES);
}

#[tokio::test]
async fn the_clients_own_tries_get_a_read_through_some_faults() {
    let fixture = Fixture::with(&["get:fail=0.2", "get:reset=0.2"]).await;
    fixture.put("a").await.unwrap();
    let mut read = 0;
    for _ in 0..20 {
        read += usize::from(fixture.get("a").await.is_ok());
    }
    let faults = fixture.server.faults().count(S3Fault::Fail) + fixture.server.faults().count(S3Fault::Reset);
    assert!(read >= 12 && faults > 0, "{read} of 20 came through {faults} faults");
}

#[tokio::test]
async fn slow_requests_succeed_late() {
    let fixture = Fixture::with(&["put:slow=1"]).await;
    let asked = Instant::now();
    for n in 0..10 {
        // A second is all this client gives an attempt; on a real S3 it is ten.
        let _ = fixture.put(&n.to_string()).await;
    }
    assert!(asked.elapsed() > Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(fixture.server.faults().count(S3Fault::Slow), 10);
}

#[tokio::test]
async fn with_a_latency_a_put_waits_before_it_happens() {
    let fixture = Fixture::with(&[]).await;
    fixture.server.latency().set(LatencyProfile::Standard);
    let asked = Instant::now();
    for n in 0..5 {
        assert_eq!(fixture.put(&n.to_string()).await.unwrap(), PutOutcome::Created);
    }
    // What seed 7 draws; of five PUTs of p50 100 ms, whatever the machine is busy with.
    assert!(asked.elapsed() > Duration::from_millis(300), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn in_an_outage_nothing_happens_and_afterwards_all_is_well() {
    let fixture = Fixture::with(&[]).await;
    for (outage, expected) in [
        (Outage::Closed, StorageErrorKind::Unavailable),
        (Outage::Silent, StorageErrorKind::TimedOut),
    ] {
        fixture.server.faults().set_outage(Some(outage));
        assert_eq!(kind(fixture.put("a").await), expected);
        assert!(!fixture.has("a").await);
    }
    assert_eq!(fixture.put("a").await.unwrap(), PutOutcome::Created);
    assert!(fixture.server.faults().count(S3Fault::Outage) >= 1);
}
