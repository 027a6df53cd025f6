//! What every `ObjectStore` does, as one suite: run on `MemoryStore` here and, by the developer stack's tests, on
//! `S3Store` against its S3.

use std::sync::Arc;

use bytes::Bytes;
use types::{ByteRange, ObjectKey};

use crate::{GetRange, ObjectStore, PutOutcome, StorageErrorKind};

/// Runs all claims; `prefix` (ending in a slash) must be unused. Panics where a claim does not hold.
pub async fn run(store: Arc<dyn ObjectStore>, prefix: &str) {
    store.check().await.expect("the bucket is there");
    the_first_put_wins(&*store, prefix).await;
    of_racing_puts_exactly_one_wins(Arc::clone(&store), prefix).await;
    ranges_give_exactly_their_bytes(&*store, prefix).await;
    missing_bytes_are_told_apart(&*store, prefix).await;
    an_empty_object_can_be_read_whole_only(&*store, prefix).await;
    list_goes_on_after_a_key(&*store, prefix).await;
    a_deleted_key_is_gone_and_free(&*store, prefix).await;
}

fn key(prefix: &str, name: &str) -> ObjectKey {
    ObjectKey::new(format!("{prefix}{name}"))
}

async fn put(store: &dyn ObjectStore, key: &ObjectKey, body: &[u8]) -> PutOutcome {
    store
        .put_if_absent(key, Bytes::copy_from_slice(body))
        .await
        .expect("PUT answers")
}

async fn the_first_put_wins(store: &dyn ObjectStore, prefix: &str) {
    let key = key(prefix, "first wins");
    assert_eq!(put(store, &key, b"one").await, PutOutcome::Created);
    assert_eq!(put(store, &key, b"two").await, PutOutcome::AlreadyExists);
    let got = store.get(&key, GetRange::Full).await.expect("the object is there");
    assert_eq!((&got.bytes[..], got.object_bytes), (&b"one"[..], 3));
    assert_eq!(got.range, ByteRange { start: 0, end: 3 });
}

async fn of_racing_puts_exactly_one_wins(store: Arc<dyn ObjectStore>, prefix: &str) {
    let key = key(prefix, "race");
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..100u8 {
        let (store, key) = (Arc::clone(&store), key.clone());
        racers.spawn(async move { (racer, put_until_decided(&*store, &key, racer).await) });
    }
    let results = racers.join_all().await;
    let winners: Vec<u8> = results
        .iter()
        .filter(|(_, o)| *o == PutOutcome::Created)
        .map(|(racer, _)| *racer)
        .collect();
    assert_eq!(winners.len(), 1, "winners: {winners:?}");
    let got = store.get(&key, GetRange::Full).await.expect("the object is there");
    assert_eq!(
        got.bytes[..],
        vec![winners[0]; 1000],
        "the winner's bytes are the ones stored"
    );
}

/// A 409 says that another PUT is under way: S3 wants it sent again.
async fn put_until_decided(store: &dyn ObjectStore, key: &ObjectKey, racer: u8) -> PutOutcome {
    loop {
        match store.put_if_absent(key, Bytes::from(vec![racer; 1000])).await {
            Ok(outcome) => return outcome,
            Err(error) if error.kind == StorageErrorKind::Conflict => tokio::task::yield_now().await,
            Err(error) => panic!("PUT failed: {error}"),
        }
    }
}

async fn ranges_give_exactly_their_bytes(store: &dyn ObjectStore, prefix: &str) {
    let key = key(prefix, "ranges");
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    put(store, &key, &body).await;
    let bytes = |start, end| GetRange::Bytes(ByteRange { start, end });
    let asked = [
        (bytes(0, 1), 0..1),
        (bytes(1000, 200_000), 1000..200_000),
        (bytes(299_999, 300_000), 299_999..300_000),
        (bytes(299_000, 400_000), 299_000..300_000),
        (GetRange::Suffix(1), 299_999..300_000),
        (GetRange::Suffix(1_000_000), 0..300_000),
    ];
    for (range, expected) in asked {
        let got = store.get(&key, range).await.expect("the range is there");
        assert_eq!(
            got.range,
            ByteRange {
                start: expected.start as u64,
                end: expected.end as u64
            },
            "{range:?}"
        );
        assert_eq!(got.object_bytes, 300_000, "{range:?}");
        assert!(got.bytes == body[expected], "{range:?}");
    }
}

async fn missing_bytes_are_told_apart(store: &dyn ObjectStore, prefix: &str) {
    let kind = async |key: &ObjectKey, range| store.get(key, range).await.expect_err("nothing to be had").kind;
    let absent = key(prefix, "absent");
    assert_eq!(kind(&absent, GetRange::Full).await, StorageErrorKind::NotFound);
    assert_eq!(kind(&absent, GetRange::Suffix(10)).await, StorageErrorKind::NotFound);
    let short = key(prefix, "short");
    put(store, &short, b"abc").await;
    let beyond = GetRange::Bytes(ByteRange { start: 3, end: 4 });
    assert_eq!(kind(&short, beyond).await, StorageErrorKind::RangeNotSatisfiable);
    assert_eq!(
        kind(&short, GetRange::Suffix(0)).await,
        StorageErrorKind::RangeNotSatisfiable
    );
}

async fn an_empty_object_can_be_read_whole_only(store: &dyn ObjectStore, prefix: &str) {
    let key = key(prefix, "empty");
    put(store, &key, b"").await;
    let got = store.get(&key, GetRange::Full).await.expect("the object is there");
    assert_eq!((got.bytes.len(), got.object_bytes), (0, 0));
    let refused = store
        .get(&key, GetRange::Suffix(10))
        .await
        .expect_err("there is no byte");
    assert_eq!(refused.kind, StorageErrorKind::RangeNotSatisfiable);
}

async fn list_goes_on_after_a_key(store: &dyn ObjectStore, prefix: &str) {
    let folder = format!("{prefix}list/");
    for name in ["b", "a", "c"] {
        put(store, &key(&folder, name), name.repeat(3).as_bytes()).await;
    }
    let all = store.list(&folder, None).await.expect("LIST answers");
    let keys: Vec<&str> = all.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "c"].map(|name| format!("{folder}{name}")));
    assert!(all.iter().all(|object| object.object_bytes == 3));
    let rest = store.list(&folder, Some(keys[0])).await.expect("LIST answers");
    assert_eq!(rest, all[1..]);
    assert_eq!(
        store
            .list(&format!("{prefix}nothing/"), None)
            .await
            .expect("LIST answers"),
        []
    );
}

async fn a_deleted_key_is_gone_and_free(store: &dyn ObjectStore, prefix: &str) {
    let key = key(prefix, "deleted");
    put(store, &key, b"one").await;
    store.delete(&key).await.expect("DELETE answers");
    store.delete(&key).await.expect("deleting a missing key is no error");
    let gone = store.get(&key, GetRange::Full).await.expect_err("the object is gone");
    assert_eq!(gone.kind, StorageErrorKind::NotFound);
    assert_eq!(put(store, &key, b"two").await, PutOutcome::Created);
}
