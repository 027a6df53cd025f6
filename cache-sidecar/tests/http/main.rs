//! The contract of docs/cache-api.md over HTTP, with a bucket in memory behind the sidecar.

#![expect(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod admission;
mod disk;
mod lanes;
mod openapi;
mod peers;
mod push;
mod sidecar;
mod start;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_api::{CacheError, ReadHints, contract};
use cache_sidecar::Asker;
use futures::future::join_all;
use hyper::StatusCode;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tokio::io::AsyncWriteExt;
use types::ObjectKey;

use crate::sidecar::{PAGE, Sidecar, bytes, counted, eventually, slice};

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
            let got = sidecar
                .client
                .get_range(&key, bytes(&range), &ReadHints::default())
                .await
                .unwrap();
            assert!(got.bytes == slice(&body, range.clone()), "{key} {range:?}");
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
            tokio::spawn(async move {
                (
                    range.clone(),
                    sidecar
                        .client
                        .get_range(&key, bytes(&range), &ReadHints::default())
                        .await,
                )
            })
        })
        .collect();
    sidecar.bucket.entered.acquire().await.unwrap().forget();
    sidecar.bucket.gate.add_permits(1000);
    let mut told = 0;
    for result in join_all(readers).await {
        let (range, got) = result.unwrap();
        let got = got.unwrap();
        assert!(got.bytes == slice(&body, range));
        told += got.gets;
    }
    assert_eq!((sidecar.gets(), told), (1, 1), "and one of them hears of it");
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_fail_the_others() {
    let sidecar = Sidecar::start_gated().await;
    let (key, _) = sidecar.store("left", 100).await;
    let asker = Asker::default();
    let mut first = Box::pin(sidecar.objects.object_bytes(&key, &asker));
    let mut second = Box::pin(sidecar.objects.object_bytes(&key, &asker));
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    drop(first);
    sidecar.bucket.gate.add_permits(1000);
    assert_eq!(second.await.unwrap().0, 100);
    assert_eq!(sidecar.gets(), 1);
}

#[tokio::test]
async fn a_request_whose_client_hangs_up_before_the_answer_is_counted_as_499() {
    let sidecar = Sidecar::start_gated().await;
    sidecar.store("slow", 100).await;
    let hung_up = || counted(r#"yaks_cache_requests_total{method="HEAD",status="499"}"#);
    let before = hung_up();
    let address = sidecar.url.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = b"HEAD /v1/objects/slow HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write_all(head).await.unwrap();
    sidecar.bucket.entered.acquire().await.unwrap().forget();
    assert_eq!(hung_up(), before);
    drop(socket);
    eventually(async || hung_up() == before + 1).await;
}

#[tokio::test]
async fn neighbouring_missing_pages_are_one_request() {
    let sidecar = Sidecar::start().await;
    let (key, body) = sidecar.store("gaps", 10 * PAGE as usize).await;
    let read = async |range: std::ops::Range<u64>| {
        let got = sidecar
            .client
            .get_range(&key, bytes(&range), &ReadHints::default())
            .await
            .unwrap();
        assert!(got.bytes == slice(&body, range));
        got.gets
    };
    assert_eq!(read(4 * PAGE + 5..5 * PAGE - 5).await, 1);
    assert_eq!(sidecar.gets(), 1);
    assert_eq!(read(0..10 * PAGE).await, 2);
    assert_eq!(sidecar.gets(), 3, "pages before and after the one that was there");
    assert_eq!(read(0..10 * PAGE).await, 0);
    assert_eq!(sidecar.gets(), 3);
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

    let too_long = ObjectKey::new("k".repeat(1025));
    for method in ["GET", "PUT"] {
        assert_eq!(
            sidecar.send(method, &too_long, None).await.status,
            StatusCode::BAD_REQUEST,
            "{method}"
        );
    }
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
    let get = async |key: &ObjectKey, range| {
        sidecar
            .client
            .get_range(key, bytes(&range), &ReadHints::default())
            .await
            .unwrap_err()
    };
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
