//! What the client makes of every answer, against a scripted server on loopback.

#![expect(clippy::unwrap_used, reason = "a test stops where a step fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use cache_api::contract::{CACHE_HEADER, CACHE_VERSION};
use cache_api::{CacheClient, CacheError, ReadHints};
use types::{ByteRange, ObjectKey};

const RANGE: ByteRange = ByteRange { start: 10, end: 14 };

fn key() -> ObjectKey {
    ObjectKey::new("data/v1/ab/1")
}

async fn client_of(status: u16, body: &'static str, marked: bool) -> (CacheClient, Arc<AtomicU64>) {
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    let app = Router::new().fallback(async move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let answer = Response::builder().status(status);
        let answer = if marked {
            answer.header(CACHE_HEADER, CACHE_VERSION)
        } else {
            answer
        };
        answer.body(Body::from(body)).unwrap()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = CacheClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (client, requests)
}

async fn error_of(status: u16, body: &'static str, marked: bool) -> CacheError {
    client_of(status, body, marked)
        .await
        .0
        .get_range(&key(), RANGE, &ReadHints::default())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn exactly_the_bytes_asked_for_come_back_writable() {
    let (client, _) = client_of(206, "tail", true).await;
    let served = client.get_range(&key(), RANGE, &ReadHints::default()).await.unwrap();
    let mut bytes = served.bytes;
    bytes[0] = b'm';
    assert_eq!(&bytes[..], b"mail");
}

#[tokio::test]
async fn answers_are_told_apart() {
    assert!(matches!(error_of(404, "", true).await, CacheError::NotFound(_)));
    assert!(matches!(
        error_of(416, "", true).await,
        CacheError::RangeNotSatisfiable(_)
    ));
    assert!(matches!(error_of(502, "", true).await, CacheError::Origin(_)));
    assert!(matches!(error_of(503, "", true).await, CacheError::Unavailable(_)));
    assert!(matches!(error_of(200, "tail", true).await, CacheError::Protocol(_)));
    assert!(matches!(error_of(206, "longer", true).await, CacheError::Protocol(_)));
    assert!(matches!(
        error_of(206, "cut", true).await,
        CacheError::RangeNotSatisfiable(_)
    ));
}

#[tokio::test]
async fn a_404_of_somebody_else_is_not_taken_for_a_missing_object() {
    assert!(matches!(error_of(404, "", false).await, CacheError::Protocol(_)));
}

#[tokio::test]
async fn a_sidecar_that_keeps_failing_is_left_alone() {
    let (client, requests) = client_of(StatusCode::SERVICE_UNAVAILABLE.as_u16(), "", true).await;
    for _ in 0..20 {
        assert!(matches!(
            client.get_range(&key(), RANGE, &ReadHints::default()).await,
            Err(CacheError::Unavailable(_))
        ));
    }
    let asked = requests.load(Ordering::SeqCst);
    assert!((3..10).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_a_wrong_address_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = CacheClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = client
        .get_range(&key(), RANGE, &ReadHints::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CacheError::Unavailable(why) if why.contains("refused")),
        "{error}"
    );
    assert!(CacheClient::new("localhost:9080").is_err());
}
