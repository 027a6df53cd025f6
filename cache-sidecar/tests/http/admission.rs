//! What stays in the cache when much passes through it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use storage::ObjectStore;
use types::ObjectKey;

use crate::sidecar::{Bucket, PAGE, Sidecar};

/// The least memory there is, and pages that fit.
const MEMORY: &str = "--cache-size=16";
const MEMORY_PAGES: u64 = (16 << 20) / PAGE;
/// The least disk.
const DISK_PAGES: u64 = (256 << 20) / PAGE;

async fn start(settings: &[&str]) -> Sidecar {
    let bucket = Arc::new(Bucket::default());
    bucket.gate.add_permits(1_000_000);
    let store = Arc::clone(&bucket) as Arc<dyn ObjectStore>;
    Sidecar::start_with(settings, bucket, store.into()).await
}

/// An object of so many pages.
async fn store(sidecar: &Sidecar, name: &str, pages: u64) -> ObjectKey {
    let key = ObjectKey::new(name);
    let body = Bytes::from(vec![7; (pages * PAGE) as usize]);
    sidecar.bucket.put_if_absent(&key, body).await.unwrap();
    key
}

/// Reads each page in halves.
async fn read(sidecar: &Sidecar, key: &ObjectKey, pages: Range<u64>) {
    for half in pages.start * 2..pages.end * 2 {
        let range = format!("bytes={}-{}", half * PAGE / 2, (half + 1) * PAGE / 2 - 1);
        assert_eq!(sidecar.send("GET", key, Some(&range)).await.status, 206);
    }
}

#[tokio::test]
async fn what_is_read_again_and_again_stays_in_memory_while_a_scan_of_four_times_the_memory_passes() {
    let sidecar = start(&[MEMORY]).await;
    let hot = store(&sidecar, "hot", MEMORY_PAGES / 4).await;
    let cold = store(&sidecar, "cold", 4 * MEMORY_PAGES).await;
    for _ in 0..3 {
        read(&sidecar, &hot, 0..MEMORY_PAGES / 4).await;
    }
    let before = sidecar.gets();
    for round in 0..4 {
        read(&sidecar, &cold, round * MEMORY_PAGES..(round + 1) * MEMORY_PAGES).await;
        read(&sidecar, &hot, 0..MEMORY_PAGES / 4).await;
    }
    assert_eq!(
        sidecar.gets() - before,
        4 * MEMORY_PAGES,
        "one for each page of the scan"
    );
    let before = sidecar.gets();
    read(&sidecar, &cold, 0..1).await;
    assert_eq!(sidecar.gets() - before, 1, "the scan itself left nothing behind");
}

#[tokio::test]
async fn pushed_objects_are_there_for_their_first_reader_though_everything_else_is_read_oftener() {
    let sidecar = start(&[MEMORY]).await;
    let hot = store(&sidecar, "hot", MEMORY_PAGES / 4).await;
    for _ in 0..5 {
        read(&sidecar, &hot, 0..MEMORY_PAGES / 4).await;
    }
    let before = sidecar.gets();
    // A third of the memory is pushed before a reader comes, again and again.
    for object in 0..6 {
        let key = ObjectKey::new(format!("pushed {object}"));
        let body = Bytes::from(vec![1; (MEMORY_PAGES / 3 * PAGE) as usize]);
        sidecar.client.push(&key, body).await.unwrap();
        read(&sidecar, &key, 0..MEMORY_PAGES / 3).await;
    }
    assert_eq!(sidecar.gets() - before, 0);
}

#[tokio::test]
async fn a_scan_longer_than_the_disk_leaves_pushed_objects_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk_dir = format!("--cache-disk-dir={}", dir.path().display());
    let settings = [MEMORY, "--cache-disk=256", &disk_dir];
    let pushed: Vec<ObjectKey> = (0..4).map(|n| ObjectKey::new(format!("pushed {n}"))).collect();
    let sidecar = start(&settings).await;
    for key in &pushed {
        let body = Bytes::from(vec![1; (8 * PAGE) as usize]);
        sidecar.client.push(key, body).await.unwrap();
    }
    let cold = store(&sidecar, "cold", 2 * DISK_PAGES).await;
    for page in 0..2 * DISK_PAGES {
        let range = format!("bytes={}-{}", page * PAGE, page * PAGE + 9);
        assert_eq!(sidecar.send("GET", &cold, Some(&range)).await.status, 206);
    }
    sidecar.objects.close().await.unwrap();
    drop(sidecar);

    let sidecar = start(&settings).await;
    for key in &pushed {
        read(&sidecar, key, 0..8).await;
    }
    assert_eq!(sidecar.gets(), 0);
}
