//! The embedded S3, over real HTTP, through the client that the deployables use.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dev_stack::s3::{CreatedObject, Operation, S3Config, S3Server};
use storage::{GetRange, ObjectStore as _, PutOutcome, S3Store, StorageErrorKind};
use types::{ByteRange, ObjectKey};

struct Fixture {
    server: S3Server,
    directory: PathBuf,
    created: Arc<Mutex<Vec<CreatedObject>>>,
}

impl Fixture {
    async fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("yaks-s3-{}", uuid::Uuid::now_v7()));
        Self::start_in(directory).await
    }

    async fn start_in(directory: PathBuf) -> Self {
        let created = Arc::new(Mutex::new(Vec::new()));
        let config = S3Config {
            directory: directory.clone(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            bucket: "test-bucket".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
            seed: 1,
        };
        let sink = Arc::clone(&created);
        let server = S3Server::start(config, Arc::new(move |object| sink.lock().unwrap().push(object)))
            .await
            .unwrap();
        Self {
            server,
            directory,
            created,
        }
    }

    async fn client(&self) -> S3Store {
        self.client_with("test", "test-bucket").await
    }

    async fn client_with(&self, secret_key: &str, bucket: &str) -> S3Store {
        let config = storage::S3Config {
            endpoint: self.server.endpoint(),
            region: "us-east-1".to_owned(),
            access_key: "test".to_owned(),
            secret_key: secret_key.into(),
            path_style: true,
            bucket: bucket.to_owned(),
        };
        S3Store::new(&config).await.unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_the_storage_crate() {
    let fixture = Fixture::start().await;
    storage::contract::run(Arc::new(fixture.client().await), "contract/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_racing_conditional_puts_exactly_one_wins_and_its_bytes_are_read() {
    let fixture = Fixture::start().await;
    let client = Arc::new(fixture.client().await);
    let key = ObjectKey::new("data/v1/ab/stream/00000000000000000000");
    let barrier = Arc::new(tokio::sync::Barrier::new(100));
    let racers = (0..100_u8).map(|racer| {
        let (client, key, barrier) = (Arc::clone(&client), key.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            // Different lengths: a mixture of two bodies would show.
            let body = Bytes::from(vec![racer; 20_000 + usize::from(racer)]);
            barrier.wait().await;
            (racer, client.put_if_absent(&key, body).await.unwrap())
        })
    });
    let mut winners = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        let (racer, outcome) = racer.await.unwrap();
        if outcome == PutOutcome::Created {
            winners.push(racer);
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let got = client.get(&key, GetRange::Full).await.unwrap().bytes;
    assert_eq!(got, vec![winners[0]; 20_000 + usize::from(winners[0])]);
    assert_eq!(fixture.server.stats().requests(Operation::PutObject), 100);
    assert_eq!(fixture.server.stats().errors(Operation::PutObject), 99);
    assert_eq!(fixture.created.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn every_created_object_is_told_once() {
    let fixture = Fixture::start().await;
    let (client, key) = (fixture.client().await, ObjectKey::new("data/a b"));
    for _ in 0..2 {
        client
            .put_if_absent(&key, Bytes::from_static(b"seven b"))
            .await
            .unwrap();
    }
    let created = fixture.created.lock().unwrap().clone();
    assert_eq!(created.len(), 1);
    assert_eq!((created[0].key.as_str(), created[0].object_bytes), ("data/a b", 7));
}

#[tokio::test]
async fn ranges_over_several_pieces_come_whole() {
    let fixture = Fixture::start().await;
    let (client, key) = (fixture.client().await, ObjectKey::new("large"));
    let body: Vec<u8> = (0..3_500_000_u32)
        .map(|number| number.to_le_bytes()[usize::from(number % 3 == 0)])
        .collect();
    client.put_if_absent(&key, Bytes::from(body.clone())).await.unwrap();
    assert_eq!(client.get(&key, GetRange::Full).await.unwrap().bytes, body);
    let range = ByteRange {
        start: 1_000_000,
        end: 3_400_001,
    };
    let got = client.get(&key, GetRange::Bytes(range)).await.unwrap();
    assert_eq!(
        (got.bytes.as_ref(), got.object_bytes),
        (&body[1_000_000..3_400_001], 3_500_000)
    );
    assert_eq!(
        client.get(&key, GetRange::Suffix(5)).await.unwrap().bytes,
        body[3_499_995..]
    );
}

#[tokio::test]
async fn a_wrong_secret_and_a_missing_bucket_are_told_apart() {
    let fixture = Fixture::start().await;
    let error = fixture
        .client_with("wrong", "test-bucket")
        .await
        .check()
        .await
        .unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::AccessDenied, "{error}");
    let error = fixture
        .client_with("test", "no-such-bucket")
        .await
        .check()
        .await
        .unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::BadBucket, "{error}");
}

#[tokio::test]
async fn objects_are_there_after_a_restart() {
    let directory = std::env::temp_dir().join(format!("yaks-s3-{}", uuid::Uuid::now_v7()));
    let first = Fixture::start_in(directory.clone()).await;
    let key = ObjectKey::new("kept");
    first
        .client()
        .await
        .put_if_absent(&key, Bytes::from_static(b"bytes"))
        .await
        .unwrap();
    let second = Fixture::start_in(directory).await;
    let client = second.client().await;
    assert_eq!(client.get(&key, GetRange::Full).await.unwrap().bytes, "bytes");
    assert_eq!(
        client.put_if_absent(&key, Bytes::new()).await.unwrap(),
        PutOutcome::AlreadyExists
    );
}
