//! What `S3Store` sends, and what it makes of every answer S3 can give, against a scripted server on loopback.

#![expect(clippy::unwrap_used, reason = "a test stops where a step fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use storage::{GetRange, ObjectStore, PutOutcome, S3Config, S3Store, S3Timeouts, StorageErrorKind};
use types::{ByteRange, ObjectKey};

/// A request as the server saw it.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers every request alike.
struct Server {
    store: S3Store,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn answering(answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let line = format!("{} {}", parts.method, parts.uri);
            let body = to_bytes(body, usize::MAX).await.unwrap();
            log.lock().unwrap().push(Seen {
                line,
                headers: parts.headers,
                body,
            });
            answer()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            store: store_at(&format!("http://{address}")).await,
            seen,
        }
    }

    async fn refusing(status: u16, code: &'static str) -> Self {
        Self::answering(move || refusal(status, code)).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn store_at(endpoint: &str) -> S3Store {
    let config = S3Config {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "test".to_owned(),
        secret_key: "test".into(),
        path_style: true,
        bucket: "b".to_owned(),
    };
    let timeouts = S3Timeouts {
        connect: Duration::from_secs(1),
        attempt: Duration::from_millis(500),
        total: Duration::from_secs(5),
    };
    S3Store::with_timeouts(&config, timeouts).await.unwrap()
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let body = match code {
        "" => Body::empty(),
        code => Body::from(format!("<Error><Code>{code}</Code><Message>said so</Message></Error>")),
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/xml")
        .body(body)
        .unwrap()
}

fn key() -> ObjectKey {
    ObjectKey::new("data/v1/ab/1")
}

#[tokio::test]
async fn a_put_is_conditional_unsigned_unchunked_and_carries_its_crc32c() {
    let server = Server::answering(|| Response::new(Body::empty())).await;
    let body = Bytes::from_static(b"123456789");
    let outcome = server.store.put_if_absent(&key(), body.clone()).await.unwrap();
    assert_eq!(outcome, PutOutcome::Created);
    let [seen] = &server.seen()[..] else {
        panic!("one request")
    };
    assert!(seen.line.starts_with("PUT /b/data/v1/ab/1"), "{}", seen.line);
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("if-none-match"), Some("*"));
    assert_eq!(header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    // CRC-32C of "123456789" is the check value 0xe3069283.
    assert_eq!(header("x-amz-checksum-crc32c"), Some("4waSgw=="));
    assert_eq!(header("content-length"), Some("9"));
    assert_eq!(header("content-encoding"), None);
    assert_eq!(header("x-amz-trailer"), None);
    assert_eq!(header("transfer-encoding"), None);
    assert_eq!(seen.body, body);
}

#[tokio::test]
async fn a_taken_key_is_an_outcome_not_an_error() {
    let server = Server::refusing(412, "PreconditionFailed").await;
    let outcome = server.store.put_if_absent(&key(), Bytes::new()).await.unwrap();
    assert_eq!(outcome, PutOutcome::AlreadyExists);
}

#[tokio::test]
async fn a_failed_put_is_sent_once_and_a_failed_get_three_times() {
    for (status, code) in [
        (500, "InternalError"),
        (503, "SlowDown"),
        (409, "ConditionalRequestConflict"),
    ] {
        let server = Server::refusing(status, code).await;
        server.store.put_if_absent(&key(), Bytes::new()).await.unwrap_err();
        assert_eq!(server.seen().len(), 1, "{code}");
    }
    let server = Server::refusing(500, "InternalError").await;
    server.store.get(&key(), GetRange::Full).await.unwrap_err();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn answers_are_told_apart_by_what_can_be_done() {
    let answers = [
        (404, "NoSuchKey", StorageErrorKind::NotFound),
        (404, "NoSuchBucket", StorageErrorKind::BadBucket),
        (403, "AccessDenied", StorageErrorKind::AccessDenied),
        (403, "", StorageErrorKind::AccessDenied),
        (400, "ExpiredToken", StorageErrorKind::AccessDenied),
        (409, "ConditionalRequestConflict", StorageErrorKind::Conflict),
        (416, "InvalidRange", StorageErrorKind::RangeNotSatisfiable),
        (503, "SlowDown", StorageErrorKind::Throttled),
        (503, "ServiceUnavailable", StorageErrorKind::Unavailable),
        (500, "InternalError", StorageErrorKind::Unavailable),
        (502, "", StorageErrorKind::Unavailable),
        (400, "RequestTimeout", StorageErrorKind::TimedOut),
        (400, "AuthorizationHeaderMalformed", StorageErrorKind::BadBucket),
        (400, "EntityTooLarge", StorageErrorKind::Other),
    ];
    for (status, code, kind) in answers {
        let server = Server::refusing(status, code).await;
        let put = server.store.put_if_absent(&key(), Bytes::new()).await.unwrap_err();
        assert_eq!(put.kind, kind, "PUT {status} {code}: {put}");
        let get = server.store.get(&key(), GetRange::Full).await.unwrap_err();
        assert_eq!(get.kind, kind, "GET {status} {code}: {get}");
    }
}

#[tokio::test]
async fn a_bucket_elsewhere_is_named_with_its_region() {
    let server = Server::answering(|| {
        let mut answer = refusal(301, "PermanentRedirect");
        answer
            .headers_mut()
            .insert("x-amz-bucket-region", "eu-west-3".parse().unwrap());
        answer
    })
    .await;
    let error = server.store.check().await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::BadBucket);
    assert!(
        error.to_string().contains("bucket b") && error.to_string().contains("eu-west-3"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout_and_nobody_there_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = store_at(&format!("http://{}", listener.local_addr().unwrap())).await;
    let silent = store.put_if_absent(&key(), Bytes::new()).await.unwrap_err();
    assert_eq!(silent.kind, StorageErrorKind::TimedOut, "{silent}");
    drop(listener);
    let nobody = store.put_if_absent(&key(), Bytes::new()).await.unwrap_err();
    assert_eq!(nobody.kind, StorageErrorKind::Unavailable, "{nobody}");
    assert!(
        nobody.message.ends_with("Connection refused (os error 111)"),
        "{nobody}"
    );
    assert!(nobody.is_retriable() && silent.is_retriable());
}

#[tokio::test]
async fn a_range_is_asked_for_and_found_in_the_answer() {
    let server = Server::answering(|| {
        let answer = Response::builder()
            .status(206)
            .header("content-range", "bytes 10-13/14");
        answer.body(Body::from("tail")).unwrap()
    })
    .await;
    let got = server.store.get(&key(), GetRange::Suffix(4)).await.unwrap();
    assert_eq!((&got.bytes[..], got.object_bytes), (&b"tail"[..], 14));
    assert_eq!(got.range, ByteRange { start: 10, end: 14 });
    assert_eq!(server.seen()[0].headers["range"], "bytes=-4");
    assert!(
        server.seen()[0].headers.get("x-amz-checksum-mode").is_none(),
        "no second pass over the body"
    );
}

#[tokio::test]
async fn a_body_that_does_not_fit_its_range_is_refused() {
    let server = Server::answering(|| {
        let answer = Response::builder().status(206).header("content-range", "bytes 0-9/14");
        answer.body(Body::from("tail")).unwrap()
    })
    .await;
    let first_ten = GetRange::Bytes(ByteRange { start: 0, end: 10 });
    let error = server.store.get(&key(), first_ten).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Unavailable, "{error}");
    let shorter = Server::answering(|| {
        let answer = Response::builder()
            .status(206)
            .header("content-range", "bytes 10-13/20");
        answer.body(Body::from("tail")).unwrap()
    })
    .await;
    assert_eq!(
        shorter.store.get(&key(), GetRange::Suffix(10)).await.unwrap_err().kind,
        StorageErrorKind::Other,
        "a suffix of ten bytes is not these four"
    );
    let ignoring = Server::answering(|| Response::new(Body::from("the whole object"))).await;
    let asked = GetRange::Bytes(ByteRange { start: 4, end: 9 });
    assert_eq!(
        ignoring.store.get(&key(), asked).await.unwrap_err().kind,
        StorageErrorKind::Other
    );
}
