//! The cache sidecar against the S3 behind it, both over HTTP: whoever asks one or the other gets the same.

#![expect(clippy::unwrap_used, reason = "a test stops where a step fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::Bytes;
use cache_api::contract::object_path;
use cache_sidecar::{CacheConfig, Objects, router};
use clap::Parser;
use daemon::Tasks;
use dev_stack::s3::{S3Config, S3Server};
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::{ObjectStore, S3Store};
use tokio_util::sync::CancellationToken;
use types::ObjectKey;

const BUCKET: &str = "test-bucket";
const PAGE: u64 = 65_536;
const SIZES: [u64; 7] = [0, 1, PAGE - 1, PAGE, PAGE + 1, 10 * PAGE + 12_345, 400 * PAGE];
const REQUESTS: usize = 1000;

/// What was said to a request.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    content_range: String,
    content_length: String,
    body: Bytes,
}

/// An object, and where it is read.
struct Target {
    object_bytes: u64,
    in_s3: String,
    in_sidecar: String,
}

struct Pair {
    _s3: S3Server,
    _directory: tempfile::TempDir,
    http: Client<HttpConnector, Full<Bytes>>,
    targets: Vec<Target>,
}

impl Pair {
    /// Both with all objects, none of them in the cache yet. The memory holds less than all of them.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = S3Config {
            directory: directory.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            bucket: BUCKET.to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
            seed: 1,
        };
        let s3 = S3Server::start(config, Arc::new(|_| ())).await.unwrap();
        let config = storage::S3Config {
            endpoint: s3.endpoint(),
            region: "us-east-1".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".into(),
            path_style: true,
            bucket: BUCKET.to_owned(),
        };
        let store: Arc<dyn ObjectStore> = Arc::new(S3Store::new(&config).await.unwrap());
        let sidecar = start_sidecar(Arc::clone(&store)).await;
        let mut targets = Vec::new();
        for object_bytes in SIZES {
            let key = ObjectKey::new(format!("data/v1/ab/object of {object_bytes}"));
            store.put_if_absent(&key, random_bytes(object_bytes)).await.unwrap();
            targets.push(Target {
                object_bytes,
                in_s3: presigned(&s3.endpoint(), &key).await,
                in_sidecar: format!("{sidecar}{}", object_path(&key)),
            });
        }
        Self {
            _s3: s3,
            _directory: directory,
            http: Client::builder(TokioExecutor::new()).build_http(),
            targets,
        }
    }

    async fn ask(&self, url: &str, range: Option<&str>) -> Answer {
        let request = Request::get(url);
        let request = range
            .into_iter()
            .fold(request, |request, range| request.header("range", range));
        let answer = self.http.request(request.body(Full::default()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let header = |name| head.headers.get(name).map_or("", |value| value.to_str().unwrap());
        let body = body.collect().await.unwrap().to_bytes();
        let found = head.status.is_success();
        Answer {
            status: head.status,
            content_range: header("content-range").to_owned(),
            content_length: if found {
                header("content-length").to_owned()
            } else {
                String::new()
            },
            // Errors are told in different words.
            body: if found { body } else { Bytes::new() },
        }
    }

    async fn compare(&self, target: &Target, range: Option<&str>) {
        let (s3, sidecar) = tokio::join!(self.ask(&target.in_s3, range), self.ask(&target.in_sidecar, range));
        let same = (s3.status, &s3.content_length) == (sidecar.status, &sidecar.content_length)
            && s3.body == sidecar.body
            // S3 does not say how long an object is that has no byte in the range.
            && (s3.content_range == sidecar.content_range || s3.status == StatusCode::RANGE_NOT_SATISFIABLE);
        assert!(
            same,
            "{range:?} of {} bytes: {} {} from S3, {} {} from the sidecar",
            target.object_bytes, s3.status, s3.content_range, sidecar.status, sidecar.content_range
        );
    }
}

/// A URL that reads the object without further signatures.
async fn presigned(endpoint: &str, key: &ObjectKey) -> String {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .build();
    let get = aws_sdk_s3::Client::from_conf(config)
        .get_object()
        .bucket(BUCKET)
        .key(key.as_str());
    let hour = PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap();
    get.presigned(hour).await.unwrap().uri().to_owned()
}

async fn start_sidecar(store: Arc<dyn ObjectStore>) -> String {
    let settings = ["yaks-cache", "--cache-page-bytes=65536", "--cache-size=16"];
    let config = CacheConfig::try_parse_from(settings).unwrap();
    let tasks = Tasks::new(CancellationToken::new());
    let objects = Objects::open(&config, store, tasks).await.unwrap();
    let listener = daemon::bind(SocketAddr::from(([127, 0, 0, 1], 0)), "X").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(daemon::serve(listener, router(objects), CancellationToken::new()));
    url
}

fn random_bytes(count: u64) -> Bytes {
    let mut bytes = vec![0; usize::try_from(count).unwrap()];
    StdRng::seed_from_u64(count).fill(&mut bytes[..]);
    bytes.into()
}

/// A `Range` header in one of its forms, on both sides of pages and of the object's end.
fn random_range(random: &mut StdRng, object_bytes: u64) -> Option<String> {
    let near = |random: &mut StdRng| {
        let at = random.random_range(0..=object_bytes);
        if random.random_bool(0.3) { at / PAGE * PAGE } else { at }
    };
    let length = random.random_range(1..5 * PAGE);
    Some(match random.random_range(0..10) {
        0..6 => {
            let start = near(random);
            format!("bytes={start}-{}", start + length - 1)
        }
        6 => format!("bytes={}-", object_bytes.saturating_sub(length)),
        7 => format!("bytes=-{length}"),
        8 => format!("bytes={}-{}", object_bytes + length - 1, object_bytes + 2 * length),
        _ if object_bytes > 20 * PAGE => format!("bytes=-{length}"),
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_ranges_at_each_concurrency_are_answered_as_s3_answers_them() {
    for concurrency in [1, 4, 16, 64, 256] {
        // Cold each time.
        let pair = &Pair::start().await;
        let mut random = StdRng::seed_from_u64(concurrency);
        let asked: Vec<(&Target, Option<String>)> = (0..REQUESTS)
            .map(|_| {
                let target = &pair.targets[random.random_range(0..pair.targets.len())];
                (target, random_range(&mut random, target.object_bytes))
            })
            .collect();
        let limit = usize::try_from(concurrency).unwrap();
        let compared = futures::stream::iter(asked).for_each_concurrent(limit, async |(target, range)| {
            pair.compare(target, range.as_deref()).await;
        });
        compared.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_missed_alike() {
    let pair = Pair::start().await;
    for target in &pair.targets {
        for range in [
            None,
            Some("bytes=0-0"),
            Some("bytes=-0"),
            Some("bytes=-1"),
            Some("bytes=0-"),
        ] {
            if target.object_bytes < 20 * PAGE || range.is_some_and(|range| range != "bytes=0-") {
                pair.compare(target, range).await;
            }
        }
    }
}
