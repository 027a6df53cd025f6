//! What agents push.

use bytes::Bytes;
use cache_api::ReadHints;
use cache_sidecar::Asker;
use futures::channel::mpsc;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use types::ObjectKey;

use crate::sidecar::{PAGE, Sidecar, bytes, slice};

#[tokio::test]
async fn a_pushed_object_is_served_without_a_request_to_s3() {
    let sidecar = Sidecar::start().await;
    let body: Bytes = (0..5 * PAGE + 77).map(|i| (i % 253) as u8).collect();
    let key = ObjectKey::new("data/v1/ab/pushed object");
    sidecar.client.push(&key, body.clone()).await.unwrap();
    let got = sidecar
        .client
        .get_range(&key, bytes(&(100..5 * PAGE + 77)), &ReadHints::default())
        .await
        .unwrap();
    assert!(got.bytes == slice(&body, 100..5 * PAGE + 77));
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

type Body = mpsc::UnboundedSender<Result<Bytes, &'static str>>;

/// Begins a push of which nothing has come yet. Returns the way to send its body, and its end.
async fn begin_push(sidecar: &Sidecar, key: &ObjectKey, body_bytes: usize) -> (Body, JoinHandle<bool>) {
    let (sender, body) = mpsc::unbounded();
    let (objects, key) = (sidecar.objects.clone(), key.clone());
    let push = tokio::spawn(async move { objects.push(&key, body_bytes as u64, body).await.is_ok() });
    // Until the tasks stand where they wait for the body; this runtime has one thread.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    (sender, push)
}

#[tokio::test]
async fn who_reads_while_a_push_is_under_way_waits_for_it_and_not_for_s3() {
    let sidecar = Sidecar::start_gated().await;
    let (key, body) = sidecar.store("on its way", 2 * PAGE as usize + 5).await;
    let (sender, push) = begin_push(&sidecar, &key, body.len()).await;
    let asker = Asker::default();
    let mut reader = Box::pin(sidecar.objects.object_bytes(&key, &asker));
    assert!(futures::poll!(&mut reader).is_pending());
    sender.unbounded_send(Ok(body.clone())).unwrap();
    drop(sender);
    assert_eq!(reader.await.unwrap().0, body.len() as u64);
    assert!(push.await.unwrap());
    let whole = sidecar.send("GET", &key, None).await;
    assert!(whole.body == body && whole.header("cache-status").contains("hit"));
    assert_eq!(sidecar.gets(), 0);
}

#[tokio::test]
async fn who_waits_for_a_push_that_breaks_off_gets_the_bytes_from_s3() {
    let sidecar = Sidecar::start().await;
    let (key, body) = sidecar.store("broken off", 2 * PAGE as usize).await;
    let (sender, push) = begin_push(&sidecar, &key, body.len()).await;
    let asker = Asker::default();
    let mut reader = Box::pin(sidecar.objects.object_bytes(&key, &asker));
    assert!(futures::poll!(&mut reader).is_pending());
    sender.unbounded_send(Ok(slice(&body, 0..PAGE))).unwrap();
    sender.unbounded_send(Err("gone")).unwrap();
    assert!(!push.await.unwrap());
    assert_eq!(reader.await.unwrap().0, body.len() as u64);
    assert_eq!(sidecar.gets(), 1, "only the page that somebody waited for");
}

#[tokio::test]
async fn a_push_longer_or_shorter_than_it_said_is_refused() {
    let sidecar = Sidecar::start().await;
    let key = ObjectKey::new("wrong");
    for body in [vec![0; 9], vec![0; 11]] {
        let (sender, push) = begin_push(&sidecar, &key, 10).await;
        sender.unbounded_send(Ok(body.into())).unwrap();
        drop(sender);
        assert!(!push.await.unwrap());
        assert_eq!(sidecar.send("GET", &key, None).await.status, StatusCode::NOT_FOUND);
    }
}
