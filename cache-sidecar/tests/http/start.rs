//! The process: how it starts, says how it is, and ends.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_sidecar::CacheConfig;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use storage::{ObjectStore, StorageErrorKind};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sidecar::{Bucket, eventually, telemetry};

/// `cache_sidecar::serve` on a port of its own.
struct Served {
    ended: JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
    http: Client<HttpConnector, Full<Bytes>>,
    port: u16,
}

impl Served {
    async fn start(bucket: Arc<Bucket>) -> Self {
        let listener = daemon::bind("127.0.0.1:0".parse().unwrap(), "X").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let args = [
            "yaks-cache".to_owned(),
            "--cache-host=127.0.0.1".to_owned(),
            format!("--cache-port={port}"),
        ];
        let config = CacheConfig::try_parse_from(args).unwrap();
        let telemetry = telemetry();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let store: Arc<dyn ObjectStore> = bucket;
        Self {
            ended: tokio::spawn(async move { cache_sidecar::serve(&config, store, telemetry, token).await }),
            shutdown,
            http: Client::builder(TokioExecutor::new()).build_http(),
            port,
        }
    }

    /// The answer, as soon as somebody listens.
    async fn get(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answered = async {
            loop {
                match self.http.get(url.parse().unwrap()).await {
                    Ok(answer) => break answer,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), answered).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn ended(self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.ended).await;
        ended.unwrap().unwrap()
    }
}

#[tokio::test]
async fn the_process_serves_health_and_metrics_and_stops_in_order() {
    let bucket = Arc::new(Bucket::default());
    bucket.gate.add_permits(1000);
    let served = Served::start(bucket).await;
    assert_eq!(served.get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    assert_eq!(served.get("/livez").await.0, StatusCode::OK);
    assert_eq!(served.get("/v1/objects/absent").await.0, StatusCode::NOT_FOUND);
    let metrics = served.get("/metrics").await.1;
    for line in [
        r#"yaks_cache_requests_total{method="GET",status="404"}"#,
        "yaks_build_info",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    served.shutdown.cancel();
    served.ended().await.unwrap();
}

#[tokio::test]
async fn a_sidecar_that_s3_does_not_answer_at_its_start_waits_for_it_and_says_so() {
    let bucket = Arc::new(Bucket::default());
    *bucket.refusing.lock().unwrap() = Some(StorageErrorKind::Unavailable);
    let served = Served::start(Arc::clone(&bucket)).await;
    assert_eq!(served.get("/livez").await.0, StatusCode::OK);
    let not_ready = (
        StatusCode::SERVICE_UNAVAILABLE,
        "s3: ListObjectsV2 bucket: on purpose\n".to_owned(),
    );
    assert_eq!(served.get("/readyz").await, not_ready);
    *bucket.refusing.lock().unwrap() = None;
    eventually(async || served.get("/readyz").await.0 == StatusCode::OK).await;
    served.shutdown.cancel();
    served.ended().await.unwrap();
}

#[tokio::test]
async fn a_sidecar_that_waits_for_s3_stops_when_it_is_told_to() {
    let bucket = Arc::new(Bucket::default());
    *bucket.refusing.lock().unwrap() = Some(StorageErrorKind::TimedOut);
    let served = Served::start(bucket).await;
    assert_eq!(served.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    served.shutdown.cancel();
    served.ended().await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_is_not_there_ends_it_by_the_name_of_the_setting() {
    let bucket = Arc::new(Bucket::default());
    *bucket.refusing.lock().unwrap() = Some(StorageErrorKind::BadBucket);
    let error = format!("{:#}", Served::start(bucket).await.ended().await.unwrap_err());
    assert!(
        error.contains("YAKS_S3_BUCKET") && error.contains("on purpose"),
        "{error}"
    );
}

#[test]
fn the_last_word_of_a_process_that_cannot_start_is_an_error_in_its_log() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = Command::new(env!("CARGO_BIN_EXE_yaks-cache"))
        .env_clear()
        .env("YAKS_LOG_FORMAT", "json")
        .args(["--cache-host=127.0.0.1", &format!("--cache-port={port}")])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).expect(&said);
    assert_eq!(last["level"], "ERROR", "{said}");
    assert!(last["message"].as_str().unwrap().contains("YAKS_CACHE_PORT"), "{said}");
}
