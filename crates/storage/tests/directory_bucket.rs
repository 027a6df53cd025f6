//! A directory bucket (S3 Express), as its documents have it, on loopback: sessions, a LIST without order. No emulator has them.

#![expect(clippy::unwrap_used, reason = "a test stops where a step fails")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, Uri};
use bytes::Bytes;
use storage::{ObjectStore, PutOutcome, S3Config, S3Store};
use types::ObjectKey;

const BUCKET: &str = "yaks--use1-az4--x-s3";

/// What each page of a LIST holds: as many keys as fit one answer of ours, but in the order of no alphabet.
const PAGES: [&[&str]; 3] = [
    &["data/v1/ab/s/3", "data/v1/ab/s/0"],
    &["data/v1/ab/s/4", "data/v1/ab/s/1"],
    &["data/v1/ab/s/2"],
];

/// Method, path with query, and the session's token, if the request had one.
type Seen = (String, String, Option<String>);

/// Answers as the bucket would; what it does not support is a 400.
struct Bucket {
    store: S3Store,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Bucket {
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| async move {
            let token = request.headers().get("x-amz-s3session-token");
            let token = token.map(|value| value.to_str().unwrap().to_owned());
            let (method, uri) = (request.method().to_string(), request.uri().clone());
            log.lock().unwrap().push((method.clone(), uri.to_string(), token));
            answer(&method, &uri)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = S3Config {
            endpoint,
            region: "us-east-1".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".into(),
            path_style: false,
            bucket: BUCKET.to_owned(),
        };
        let store = S3Store::new(&config).await.unwrap();
        Self { store, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(method: &str, uri: &Uri) -> Response<Body> {
    let query: Vec<(&str, &str)> = uri.query().unwrap_or_default().split('&').filter_map(pair).collect();
    let value_of = |name: &str| query.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let prefix = value_of("prefix").unwrap_or_default();
    let (status, body) = match method {
        "GET" if value_of("session").is_some() => (200, session()),
        "GET" if value_of("start-after").is_some() || !(prefix.is_empty() || prefix.ends_with("%2F")) => {
            (400, "<Error><Code>InvalidRequest</Code></Error>".to_owned())
        }
        "GET" => (
            200,
            page(value_of("continuation-token").map_or(0, |token| token.parse().unwrap())),
        ),
        _ => (200, String::new()),
    };
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

fn pair(text: &str) -> Option<(&str, &str)> {
    (!text.is_empty()).then(|| text.split_once('=').unwrap_or((text, "")))
}

fn session() -> String {
    let credentials = "<AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>of-the-session</SessionToken>\
                       <Expiration>2999-01-01T00:00:00Z</Expiration>";
    format!("<CreateSessionResult><Credentials>{credentials}</Credentials></CreateSessionResult>")
}

fn page(number: usize) -> String {
    let contents = PAGES[number]
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"));
    let contents: String = contents.collect();
    let next = number + 1;
    let more = next < PAGES.len();
    let token = if more {
        format!("<NextContinuationToken>{next}</NextContinuationToken>")
    } else {
        String::new()
    };
    format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{contents}{token}</ListBucketResult>")
}

#[tokio::test]
async fn a_list_shows_the_keys_after_one_in_order_however_they_are_sent() {
    let bucket = Bucket::start().await;
    let listed = bucket
        .store
        .list("data/v1/ab/s/", Some("data/v1/ab/s/1"))
        .await
        .unwrap();
    let keys: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["data/v1/ab/s/2", "data/v1/ab/s/3", "data/v1/ab/s/4"]);
    let all = bucket.store.list("data/v1/ab/s/", None).await.unwrap();
    assert_eq!(all.len(), 5);
}

#[tokio::test]
async fn whether_the_bucket_is_there_is_asked_once() {
    let bucket = Bucket::start().await;
    bucket.store.check().await.unwrap();
    let lists = bucket
        .seen()
        .into_iter()
        .filter(|(_, uri, _)| uri.contains("list-type"));
    assert_eq!(lists.count(), 1);
}

#[tokio::test]
async fn every_request_is_in_a_session_which_outlasts_it() {
    let bucket = Bucket::start().await;
    let key = ObjectKey::new("data/v1/ab/s/5");
    let outcome = bucket
        .store
        .put_if_absent(&key, Bytes::from_static(b"x"))
        .await
        .unwrap();
    assert_eq!(outcome, PutOutcome::Created);
    bucket.store.put_if_absent(&key, Bytes::new()).await.unwrap();
    bucket.store.delete(&key).await.unwrap();
    bucket.store.delete(&key).await.unwrap();
    let (sessions, others): (Vec<Seen>, Vec<Seen>) = bucket
        .seen()
        .into_iter()
        .partition(|(_, uri, _)| uri.contains("?session"));
    let methods: Vec<&str> = others.iter().map(|(method, _, _)| method.as_str()).collect();
    assert_eq!(methods, ["PUT", "PUT", "DELETE", "DELETE"]);
    // One for the client that repeats requests, one for the client that does not.
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let tokens: BTreeSet<Option<String>> = others.into_iter().map(|(_, _, token)| token).collect();
    assert_eq!(tokens, BTreeSet::from([Some("of-the-session".to_owned())]));
}
