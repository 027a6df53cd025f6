//! A sidecar in this process, and the bucket behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_api::{CacheClient, contract};
use cache_sidecar::{CacheConfig, Objects, Stores, router};
use clap::Parser;
use daemon::{Readiness, Tasks};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use storage::{GetRange, Got, ListedObject, MemoryStore, ObjectStore, PutOutcome, StorageError, StorageErrorKind};
use telemetry::Telemetry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use types::{ByteRange, ObjectKey};

pub(crate) const PAGE: u64 = 65_536;

/// A bucket whose GETs can be held back and made to fail.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) memory: MemoryStore,
    pub(crate) entered: Semaphore,
    pub(crate) gate: Semaphore,
    pub(crate) failing: AtomicBool,
    /// What is wrong with the bucket as a whole.
    pub(crate) refusing: Mutex<Option<StorageErrorKind>>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            memory: MemoryStore::new(),
            entered: Semaphore::new(0),
            gate: Semaphore::new(0),
            failing: AtomicBool::new(false),
            refusing: Mutex::default(),
        }
    }
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
            return Err(refusal(StorageErrorKind::Unavailable, "GetObject", key.as_str()));
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
        match *self.refusing.lock().unwrap() {
            Some(kind) => Err(refusal(kind, "ListObjectsV2", "bucket")),
            None => Ok(()),
        }
    }
}

fn refusal(kind: StorageErrorKind, operation: &'static str, key: &str) -> StorageError {
    StorageError {
        kind,
        operation,
        key: key.to_owned(),
        message: "on purpose".to_owned(),
    }
}

pub(crate) struct Sidecar {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) objects: Objects,
    pub(crate) client: CacheClient,
    pub(crate) url: String,
    pub(crate) http: Client<HttpConnector, Full<Bytes>>,
    pub(crate) readiness: Readiness,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Sidecar {
    /// With the gate open.
    pub(crate) async fn start() -> Self {
        let sidecar = Self::start_gated().await;
        sidecar.bucket.gate.add_permits(1_000_000);
        sidecar
    }

    pub(crate) async fn start_gated() -> Self {
        let bucket = Arc::new(Bucket::default());
        let store = Arc::clone(&bucket) as Arc<dyn ObjectStore>;
        Self::start_with(&[], bucket, store.into()).await
    }

    /// With further settings, in front of `stores`, of which `bucket` is one.
    pub(crate) async fn start_with(settings: &[&str], bucket: Arc<Bucket>, stores: Stores) -> Self {
        // Before anything is counted.
        telemetry();
        let settings = ["yaks-cache", "--cache-page-bytes=65536"].iter().chain(settings);
        let config = CacheConfig::try_parse_from(settings).unwrap();
        let tasks = Tasks::new(CancellationToken::new());
        let objects = Objects::open(&config, stores, tasks).await.unwrap();
        let listener = daemon::bind("127.0.0.1:0".parse().unwrap(), "X").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let readiness = Readiness::new();
        let routes = router(objects.clone()).merge(daemon::health_routes(readiness.clone(), telemetry()));
        tokio::spawn(daemon::serve(listener, routes, CancellationToken::new()));
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self {
            bucket,
            objects,
            client: CacheClient::new(&url).unwrap(),
            url,
            http,
            readiness,
        }
    }

    /// Puts an object into the bucket, not into the cache.
    pub(crate) async fn store(&self, name: &str, object_bytes: usize) -> (ObjectKey, Bytes) {
        let key = ObjectKey::new(name);
        let body: Bytes = (0..object_bytes).map(|i| (i % 251) as u8).collect();
        self.bucket.put_if_absent(&key, body.clone()).await.unwrap();
        (key, body)
    }

    pub(crate) async fn send(&self, method: &str, key: &ObjectKey, range: Option<&str>) -> Answer {
        let range: Vec<_> = range.into_iter().map(|range| ("range", range)).collect();
        self.send_with(method, key, &range).await
    }

    /// The same with any headers.
    pub(crate) async fn send_with(&self, method: &str, key: &ObjectKey, headers: &[(&str, &str)]) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{}", self.url, contract::object_path(key)));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = self.http.request(request.body(Full::default()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn gets(&self) -> u64 {
        self.bucket.memory.gets()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    pub(crate) fn error(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn bytes(range: &std::ops::Range<u64>) -> ByteRange {
    ByteRange {
        start: range.start,
        end: range.end,
    }
}

pub(crate) fn slice(body: &Bytes, range: std::ops::Range<u64>) -> Bytes {
    body.slice(range.start as usize..range.end as usize)
}

/// The process's metrics; all tests of this program share them.
pub(crate) fn telemetry() -> Telemetry {
    static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(|| {
        let config = CacheConfig::try_parse_from(["yaks-cache"]).unwrap();
        telemetry::init(&config.telemetry, "yaks-cache").unwrap().0
    });
    TELEMETRY.clone()
}

/// A counter as Prometheus shows it; 0 before it was counted.
pub(crate) fn counted(name_and_labels: &str) -> u64 {
    let shown = telemetry().render_metrics();
    let value = shown.lines().find_map(|line| line.strip_prefix(name_and_labels));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// Waits until it is so, or fails after ten seconds.
pub(crate) async fn eventually(is_so: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap();
}
