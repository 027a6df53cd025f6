//! A page that has moved to another sidecar.

use std::sync::Arc;

use axum::Router;
use cache_api::{CacheClient, CacheError, ReadHints, contract};
use futures::future::join_all;
use hyper::StatusCode;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use types::ObjectKey;

use crate::sidecar::{PAGE, Sidecar, bytes, slice};

fn formerly_of(sidecar: &Sidecar) -> ReadHints {
    ReadHints {
        former_owner: Some(sidecar.url.clone()),
        ..ReadHints::default()
    }
}

#[tokio::test]
async fn a_moved_object_is_served_by_its_former_owner_and_not_by_s3() {
    let (former, owner) = (Sidecar::start().await, Sidecar::start().await);
    let key = ObjectKey::new("moved");
    let body = former.store("elsewhere", 3 * PAGE as usize + 5).await.1;
    former.client.push(&key, body.clone()).await.unwrap();
    let range = PAGE + 3..3 * PAGE + 5;
    let got = owner.client.get_range(&key, bytes(&range), &formerly_of(&former)).await;
    assert!(got.unwrap().bytes == slice(&body, range.clone()));
    // From now on it is the owner's own.
    let got = owner.client.get_range(&key, bytes(&range), &ReadHints::default()).await;
    assert!(got.unwrap().bytes == slice(&body, range));
    assert_eq!((former.gets(), owner.gets()), (0, 0));
}

#[tokio::test]
async fn where_the_former_owner_is_gone_or_has_not_all_of_it_s3_is_asked() {
    let (former, owner) = (Sidecar::start().await, Sidecar::start().await);
    let (key, body) = owner.store("moved", 3 * PAGE as usize).await;
    former.store("moved", 3 * PAGE as usize).await;
    former
        .client
        .get_range(&key, bytes(&(0..9)), &ReadHints::default())
        .await
        .unwrap();
    let gone = ReadHints {
        former_owner: Some("http://127.0.0.1:1".to_owned()),
        ..ReadHints::default()
    };
    for (page, hints) in [(0, formerly_of(&former)), (1, formerly_of(&former)), (2, gone)] {
        let range = page * PAGE..page * PAGE + 9;
        let got = owner.client.get_range(&key, bytes(&range), &hints).await.unwrap();
        assert!(got.bytes == slice(&body, range));
        assert_eq!(got.gets, u64::from(page > 0), "page {page}");
    }
    assert_eq!((former.gets(), owner.gets()), (1, 2), "a former owner does not fetch");
}

#[tokio::test]
async fn a_request_for_what_is_cached_only_never_reaches_s3() {
    let sidecar = Sidecar::start().await;
    let (key, body) = sidecar.store("here", 2 * PAGE as usize).await;
    let only_if_cached = [("range", "bytes=0-9"), ("cache-control", contract::ONLY_IF_CACHED)];
    let answer = sidecar.send_with("GET", &key, &only_if_cached).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (StatusCode::GATEWAY_TIMEOUT, contract::NOT_CACHED)
    );
    let client = CacheClient::new(&sidecar.url).unwrap();
    assert!(matches!(
        client.get_if_cached(&key, bytes(&(0..9))).await,
        Err(CacheError::NotCached(_))
    ));
    assert_eq!(sidecar.gets(), 0);
    sidecar.send("GET", &key, None).await;
    let got = client.get_if_cached(&key, bytes(&(PAGE..9 * PAGE))).await.unwrap();
    assert!(got.bytes == slice(&body, PAGE..2 * PAGE) && got.object_bytes == 2 * PAGE);
    assert_eq!(sidecar.gets(), 1);
}

#[tokio::test]
async fn a_former_owner_is_asked_for_sixteen_runs_at_a_time() {
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let held = (Arc::clone(&entered), Arc::clone(&gate));
    let not_cached = Router::new().fallback(async move || {
        held.0.add_permits(1);
        drop(held.1.acquire().await.unwrap());
        let known = [(contract::CACHE_HEADER, contract::CACHE_VERSION)];
        (StatusCode::GATEWAY_TIMEOUT, known)
    });
    let listener = daemon::bind("127.0.0.1:0".parse().unwrap(), "X").await.unwrap();
    let former = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(daemon::serve(listener, not_cached, CancellationToken::new()));

    let owner = Sidecar::start().await;
    let (key, _) = owner.store("moved", 80 * PAGE as usize).await;
    let reads = join_all((0..40).map(async |n| {
        let range = format!("bytes={}-{}", 2 * n * PAGE, 2 * n * PAGE);
        let headers = [(contract::FORMER_OWNER_HEADER, former.as_str()), ("range", &range)];
        owner.send_with("GET", &key, &headers).await.status
    }));
    let opened = async {
        entered.acquire_many(8).await.unwrap().forget();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(entered.available_permits(), 0, "the others wait");
        gate.add_permits(1);
    };
    let (statuses, ()) = tokio::join!(reads, opened);
    assert!(statuses.iter().all(|status| *status == StatusCode::PARTIAL_CONTENT));
    assert_eq!((entered.available_permits(), owner.gets()), (32, 40));
}
