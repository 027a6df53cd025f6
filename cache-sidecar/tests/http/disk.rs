//! The disk across restarts, and when its bytes change behind the sidecar's back.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cache_api::contract;
use hyper::StatusCode;
use storage::ObjectStore;
use types::ObjectKey;

use crate::sidecar::{Bucket, PAGE, Sidecar, counted};

const PAGES: u64 = 20;

async fn start(dir: &Path, bucket: &Arc<Bucket>) -> Sidecar {
    let disk_dir = format!("--cache-disk-dir={}", dir.display());
    let store = Arc::clone(bucket) as Arc<dyn ObjectStore>;
    Sidecar::start_with(&["--cache-disk=256", &disk_dir], Arc::clone(bucket), store.into()).await
}

/// Every page begins with its index, and is told from all others by it.
fn body() -> Bytes {
    let page = |index: u64| [&index.to_be_bytes()[..], &[b'p'; PAGE as usize - 8]].concat();
    (0..PAGES).flat_map(page).collect()
}

/// Flips one bit in the middle of each of `pages` wherever it was written below `dir`; how many there were.
fn damage(dir: &Path, pages: &[u64]) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        if file.metadata().unwrap().blocks() == 0 {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let begins = |at: usize, page: u64| bytes[at..].starts_with(&page.to_be_bytes()) && bytes[at + 8] == b'p';
        for at in (0..bytes.len() - PAGE as usize).filter(|at| pages.iter().any(|page| begins(*at, *page))) {
            let middle = at + PAGE as usize / 2;
            file.write_all_at(&[bytes[middle] ^ 1], middle as u64).unwrap();
            damaged += 1;
        }
    }
    damaged
}

#[tokio::test]
async fn a_restart_serves_from_disk_and_pages_that_were_damaged_meanwhile_from_s3() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(Bucket::default());
    bucket.gate.add_permits(1000);
    let key = ObjectKey::new("kept");
    bucket.put_if_absent(&key, body()).await.unwrap();
    let sidecar = start(dir.path(), &bucket).await;
    let read = async |sidecar: &Sidecar| {
        let answer = sidecar.send("GET", &key, None).await;
        assert!(answer.body == body(), "{}", answer.status);
        answer.header("cache-status").to_owned()
    };
    assert_eq!(read(&sidecar).await, "yaks-cache; fwd=uri-miss; stored; yaks-gets=1");
    let gets = sidecar.gets();
    sidecar.objects.close().await.unwrap();
    drop(sidecar);

    let sidecar = start(dir.path(), &bucket).await;
    assert_eq!(read(&sidecar).await, "yaks-cache; hit; detail=disk");
    assert_eq!(sidecar.gets(), gets, "warm from the disk alone");
    sidecar.objects.close().await.unwrap();
    drop(sidecar);

    assert_eq!(damage(dir.path(), &[0, 3, 4, 9]), 4);
    let sidecar = start(dir.path(), &bucket).await;
    let only_if_cached = [("cache-control", contract::ONLY_IF_CACHED)];
    let status = sidecar.send_with("GET", &key, &only_if_cached).await.status;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    let damaged = || counted("yaks_cache_damaged_pages_total");
    assert_eq!(damaged(), 4, "by whoever sees it, whether or not he may fetch it");
    assert_eq!(read(&sidecar).await, "yaks-cache; fwd=partial; stored; yaks-gets=4");
    // 3 and 4 are neighbours. Without the first page nobody knows where the object ends: the fourth GET looks behind its end.
    assert_eq!(sidecar.gets() - gets, 4);
    assert_eq!(damaged(), 4, "and once");
    assert_eq!(read(&sidecar).await, "yaks-cache; hit; detail=memory");
    sidecar.objects.close().await.unwrap();
    drop(sidecar);

    let sidecar = start(dir.path(), &bucket).await;
    assert_eq!(read(&sidecar).await, "yaks-cache; hit; detail=disk");
    assert_eq!(damaged(), 4, "they were written anew");
}
