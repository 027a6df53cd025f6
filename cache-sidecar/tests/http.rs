//! The contract of docs/cache-api.md over HTTP, with a bucket in memory behind the sidecar.

#![expect(clippy::unwrap_used, reason = "a test stops where a step fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_api::{CacheClient, CacheError, contract};
use cache_sidecar::{CacheConfig, Objects, router};
use clap::Parser;
use daemon::Tasks;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError, StorageErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use types::{ByteRange, ObjectKey};

const PAGE: u64 = 65_536;

/// A bucket whose GETs can be held back and made to fail.
#[derive(Debug)]
struct Bucket {
    memory: MemoryStore,
    entered: Semaphore,
    gate: Semaphore,
    failing: AtomicBool,
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        self.memory.put_if_absent(key, body).await
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        self.entered.add_permits(1);
        drop(self.gate.acquire().await.unwrap());
        let got = self.memory.get(key, range).await;
        if self.failing.load(Ordering::SeqCst) {
            let (kind, message) = (StorageErrorKind::Unavailable, "on purpose".to_owned());
            return Err(StorageError {
                kind,
                operation: "GetObject",
                key: key.to_string(),
                message,
            });
        }
        got
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        self.memory.list(prefix, start_after).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.memory.delete(key).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

struct Sidecar {
    bucket: Arc<Bucket>,
    objects: Objects,
    client: CacheClient,
    url: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Sidecar {
    /// With the gate open.
    async fn start() -> Self {
        let sidecar = Self::start_gated().await;
        sidecar.bucket.gate.add_permits(1000);
        sidecar
    }

    async fn start_gated() -> Self {
        let memory = MemoryStore::new();
        let (entered, gate) = (Semaphore::new(0), Semaphore::new(0));
        let bucket = Arc::new(Bucket {
            memory,
            entered,
            gate,
            failing: AtomicBool::new(false),
        });
        let config = CacheConfig::try_parse_from(["yaks-cache", "--cache-page-bytes=65536"]).unwrap();
        let tasks = Tasks::new(CancellationToken::new());
        let objects = Objects::open(&config, Arc::clone(&bucket) as Arc<dyn ObjectStore>, tasks)
            .await
            .unwrap();
        let listener = daemon::bind("127.0.0.1:0".parse().unwrap(), "X").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(daemon::serve(
            listener,
            router(objects.clone()),
            CancellationToken::new(),
        ));
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self {
            bucket,
            objects,
            client: CacheClient::new(&url).unwrap(),
            url,
            http,
        }
    }

    /// Puts an object into the bucket, not into the cache.
    async fn store(&self, name: &str, object_bytes: usize) -> (ObjectKey, Bytes) {
        let key = ObjectKey::new(name);
        let body: Bytes = (0..object_bytes).map(|i| (i % 251) as u8).collect();
        self.bucket.put_if_absent(&key, body.clone()).await.unwrap();
        (key, body)
    }

    async fn send(&self, method: &str, key: &ObjectKey, range: Option<&str>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{}", self.url, contract::object_path(key)));
        let request = range
            .into_iter()
            .fold(request, |request, range| request.header("range", range));
        let answer = self.http.request(request.body(Full::default()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    fn gets(&self) -> u64 {
        self.bucket.memory.gets()
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    fn error(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

fn bytes(range: &std::ops::Range<u64>) -> ByteRange {
    ByteRange {
        start: range.start,
        end: range.end,
    }
}

fn slice(body: &Bytes, range: std::ops::Range<u64>) -> Bytes {
    body.slice(range.start as usize..range.end as usize)
}

#[tokio::test]
async fn every_range_gives_exactly_its_bytes() {
    let sidecar = Sidecar::start().await;
    let mut runner = TestRunner::deterministic();
    for object_bytes in [1, PAGE - 1, PAGE, PAGE + 1, 10 * PAGE + 12_345] {
        let (key, body) = sidecar
            .store(&format!("object of {object_bytes}"), object_bytes as usize)
            .await;
        let start_and_len = (0..object_bytes).prop_flat_map(move |start| (start..start + 1, 1..=object_bytes - start));
        for _ in 0..60 {
            let (start, len) = start_and_len.new_tree(&mut runner).unwrap().current();
            let range = start..start + len;
            let got = sidecar.client.get_range(&key, bytes(&range)).await.unwrap();
            assert!(got == slice(&body, range.clone()), "{key} {range:?}");
        }
    }
}

#[tokio::test]
async fn one_request_for_a_missing_page_however_many_ask() {
    let sidecar = Arc::new(Sidecar::start_gated().await);
    let (key, body) = sidecar.store("popular", 3 * PAGE as usize).await;
    let readers: Vec<_> = (0..50u64)
        .map(|reader| {
            let (sidecar, key) = (Arc::clone(&sidecar), key.clone());
            let range = PAGE + reader..PAGE + 1000 + reader;
            tokio::spawn(async move { (range.clone(), sidecar.client.get_range(&key, bytes(&range)).await) })
        })
        .collect();
    sidecar.bucket.entered.acquire().await.unwrap().forget();
    sidecar.bucket.gate.add_permits(1000);
    for result in join_all(readers).await {
        let (range, got) = result.unwrap();
        assert!(got.unwrap() == slice(&body, range));
    }
    assert_eq!(sidecar.gets(), 1);
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_fail_the_others() {
    let sidecar = Sidecar::start_gated().await;
    let (key, _) = sidecar.store("left", 100).await;
    let mut first = Box::pin(sidecar.objects.object_bytes(&key));
    let mut second = Box::pin(sidecar.objects.object_bytes(&key));
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    drop(first);
    sidecar.bucket.gate.add_permits(1000);
    assert_eq!(second.await, Ok(100));
    assert_eq!(sidecar.gets(), 1);
}

#[tokio::test]
async fn neighbouring_missing_pages_are_one_request() {
    let sidecar = Sidecar::start().await;
    let (key, body) = sidecar.store("gaps", 10 * PAGE as usize).await;
    let read = async |range: std::ops::Range<u64>| {
        let got = sidecar.client.get_range(&key, bytes(&range)).await.unwrap();
        assert!(got == slice(&body, range));
    };
    read(4 * PAGE + 5..5 * PAGE - 5).await;
    assert_eq!(sidecar.gets(), 1);
    read(0..10 * PAGE).await;
    assert_eq!(sidecar.gets(), 3, "pages before and after the one that was there");
    read(0..10 * PAGE).await;
    assert_eq!(sidecar.gets(), 3);
}

#[tokio::test]
async fn a_pushed_object_is_served_without_a_request_to_s3() {
    let sidecar = Sidecar::start().await;
    let body: Bytes = (0..5 * PAGE + 77).map(|i| (i % 253) as u8).collect();
    let key = ObjectKey::new("data/v1/ab/pushed object");
    sidecar.client.push(&key, body.clone()).await.unwrap();
    let got = sidecar
        .client
        .get_range(&key, bytes(&(100..5 * PAGE + 77)))
        .await
        .unwrap();
    assert!(got == slice(&body, 100..5 * PAGE + 77));
    assert!(sidecar.send("GET", &key, None).await.body == body);
    assert_eq!(sidecar.gets(), 0);
}

#[tokio::test]
async fn nothing_is_kept_of_a_push_that_is_cut_off() {
    let sidecar = Sidecar::start().await;
    let mut socket = tokio::net::TcpStream::connect(sidecar.url.trim_start_matches("http://"))
        .await
        .unwrap();
    let half = format!(
        "PUT /v1/objects/half HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        2 * PAGE
    );
    socket.write_all(half.as_bytes()).await.unwrap();
    socket.write_all(&vec![7; PAGE as usize]).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut end = Vec::new();
    socket.read_to_end(&mut end).await.unwrap();
    let answer = sidecar.send("GET", &ObjectKey::new("half"), Some("bytes=0-9")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn failures_are_told_apart_and_not_remembered() {
    let sidecar = Sidecar::start().await;
    let absent = ObjectKey::new("absent");
    let answer = sidecar.send("GET", &absent, Some("bytes=0-9")).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (StatusCode::NOT_FOUND, contract::NOT_FOUND)
    );
    sidecar.store("absent", 100).await;
    assert_eq!(
        sidecar.send("GET", &absent, Some("bytes=0-9")).await.status,
        StatusCode::PARTIAL_CONTENT
    );

    let answer = sidecar.send("GET", &absent, Some("bytes=100-")).await;
    assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        (answer.error().as_str(), answer.header("content-range")),
        ("range_not_satisfiable", "bytes */100")
    );

    let (unlucky, _) = sidecar.store("unlucky", 100).await;
    sidecar.bucket.failing.store(true, Ordering::SeqCst);
    let answer = sidecar.send("GET", &unlucky, Some("bytes=0-9")).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (StatusCode::BAD_GATEWAY, contract::ORIGIN_FAILED)
    );
    sidecar.bucket.failing.store(false, Ordering::SeqCst);
    assert_eq!(
        sidecar.send("GET", &unlucky, Some("bytes=0-9")).await.status,
        StatusCode::PARTIAL_CONTENT
    );

    for wrong in ["bytes=9-0", "bytes=0-1,5-6", "lines=1-2"] {
        assert_eq!(
            sidecar.send("GET", &unlucky, Some(wrong)).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_client_sees_the_same_failures() {
    let sidecar = Sidecar::start().await;
    let get = async |key: &ObjectKey, range| sidecar.client.get_range(key, bytes(&range)).await.unwrap_err();
    assert!(matches!(
        get(&ObjectKey::new("absent"), 0..9).await,
        CacheError::NotFound(_)
    ));
    let (short, _) = sidecar.store("short", 100).await;
    assert!(matches!(
        get(&short, 100..101).await,
        CacheError::RangeNotSatisfiable(_)
    ));
    assert!(matches!(get(&short, 90..101).await, CacheError::RangeNotSatisfiable(_)));
    let (unlucky, _) = sidecar.store("unlucky", 100).await;
    sidecar.bucket.failing.store(true, Ordering::SeqCst);
    assert!(matches!(get(&unlucky, 0..9).await, CacheError::Origin(_)));
}

#[tokio::test]
async fn the_three_forms_of_a_range_and_none_are_answered_as_http_wants_it() {
    let sidecar = Sidecar::start().await;
    let size = 2 * PAGE + 10;
    let (key, body) = sidecar.store("forms", size as usize).await;
    let asked = [
        (Some("bytes=-12"), size - 12..size),
        (Some("bytes=131072-"), 2 * PAGE..size),
        (Some("bytes=5-9"), 5..10),
        (Some("bytes=131080-999999"), 131_080..size),
        (None, 0..size),
    ];
    for (header, range) in asked {
        let answer = sidecar.send("GET", &key, header).await;
        let expected_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        match header {
            Some(_) => assert_eq!(
                (answer.status.as_u16(), answer.header("content-range")),
                (206, &expected_range[..])
            ),
            None => assert_eq!((answer.status.as_u16(), answer.header("content-range")), (200, "")),
        }
        assert!(answer.body == slice(&body, range), "{header:?}");
        let head = sidecar.send("HEAD", &key, header).await;
        assert_eq!((head.status, head.body.len()), (answer.status, 0));
        for name in ["content-length", "content-range", "etag", contract::CACHE_HEADER] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    }
}

#[tokio::test]
async fn an_empty_object_is_there_and_has_no_range() {
    let sidecar = Sidecar::start().await;
    let (key, _) = sidecar.store("empty", 0).await;
    let whole = sidecar.send("GET", &key, None).await;
    assert_eq!((whole.status, whole.body.len()), (StatusCode::OK, 0));
    assert_eq!(
        sidecar.send("GET", &key, Some("bytes=0-0")).await.status,
        StatusCode::RANGE_NOT_SATISFIABLE
    );
}

#[tokio::test]
async fn a_request_for_more_than_the_limit_is_refused() {
    let sidecar = Sidecar::start().await;
    let too_large = contract::REQUEST_BYTES_MAX as usize + 1;
    let (key, body) = sidecar.store("large", too_large).await;
    assert_eq!(
        sidecar.send("GET", &key, None).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let pushed = sidecar.client.push(&ObjectKey::new("pushed"), body).await;
    assert!(pushed.is_err(), "{pushed:?}");
}

#[tokio::test]
async fn the_process_serves_health_and_metrics_and_stops_in_order() {
    let listener = daemon::bind("127.0.0.1:0".parse().unwrap(), "X").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let args = [
        "yaks-cache".to_owned(),
        "--cache-host=127.0.0.1".to_owned(),
        format!("--cache-port={port}"),
    ];
    let config = CacheConfig::try_parse_from(args).unwrap();
    let telemetry = telemetry::init(&config.telemetry, "cache").unwrap();
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let served = tokio::spawn(async move {
        let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
        cache_sidecar::serve(&config, store, telemetry, token).await
    });
    let http: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let get = async |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}").parse::<hyper::Uri>().unwrap();
        let answer = loop {
            match http.get(url.clone()).await {
                Ok(answer) => break answer,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let status = answer.status();
        (
            status,
            String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        )
    };
    assert_eq!(get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    assert_eq!(get("/livez").await.0, StatusCode::OK);
    assert_eq!(get("/v1/objects/absent").await.0, StatusCode::NOT_FOUND);
    let metrics = get("/metrics").await.1;
    for line in [
        r#"yaks_cache_requests_total{method="GET",status="404"} 1"#,
        "yaks_build_info",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
