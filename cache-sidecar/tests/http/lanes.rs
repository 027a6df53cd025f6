//! The ways to S3: two lanes, clients that take turns, second GETs, and what an answer says of the way it came.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_api::{ReadHints, contract};
use futures::future::join_all;
use storage::ObjectStore;

use crate::sidecar::{Bucket, PAGE, Sidecar, bytes, counted, slice};
use cache_sidecar::{Asker, Stores};

#[tokio::test]
async fn readers_of_old_data_that_wait_for_s3_do_not_keep_the_tail_waiting() {
    let (bucket, slow) = (Arc::new(Bucket::default()), Arc::new(Bucket::default()));
    bucket.gate.add_permits(1000);
    let stores = Stores {
        hot: Arc::clone(&bucket) as Arc<dyn ObjectStore>,
        cold: Arc::clone(&slow) as Arc<dyn ObjectStore>,
    };
    let sidecar = Sidecar::start_with(&[], bucket, stores).await;
    let (key, body) = sidecar.store("both", 200 * PAGE as usize).await;
    slow.put_if_absent(&key, body.clone()).await.unwrap();
    let hot = ReadHints::default();
    let cold = ReadHints {
        cold: true,
        ..ReadHints::default()
    };
    let waiting = (0..100).map(|page| {
        sidecar
            .client
            .get_range(&key, bytes(&(page * PAGE..page * PAGE + 9)), &cold)
    });
    let tail = async {
        slow.entered.acquire().await.unwrap().forget();
        let range = 150 * PAGE..150 * PAGE + 9;
        let got = sidecar.client.get_range(&key, bytes(&range), &hot).await;
        assert!(got.unwrap().bytes == slice(&body, range));
        slow.gate.add_permits(1000);
    };
    let (cold, ()) = tokio::join!(join_all(waiting), tail);
    assert!(cold.iter().all(Result::is_ok));
    assert_eq!((sidecar.gets(), slow.memory.gets()), (1, 100));
}

#[tokio::test]
async fn a_client_that_asks_for_everything_leaves_a_turn_at_s3_to_others() {
    let bucket = Arc::new(Bucket::default());
    let store = Arc::clone(&bucket) as Arc<dyn ObjectStore>;
    let sidecar = Arc::new(Sidecar::start_with(&[], bucket, store.into()).await);
    let (key, _) = sidecar.store("wanted", 200 * PAGE as usize).await;
    let ask = |client: &'static str, page: u64| {
        let (sidecar, key) = (Arc::clone(&sidecar), key.clone());
        tokio::spawn(async move {
            let range = format!("bytes={}-{}", page * PAGE, page * PAGE);
            let headers = [(contract::CLIENT_HEADER, client), ("range", range.as_str())];
            sidecar.send_with("GET", &key, &headers).await.status
        })
    };
    let greedy: Vec<_> = (0..100).map(|n| ask("greedy", 2 * n)).collect();
    sidecar.bucket.entered.acquire_many(12).await.unwrap().forget();
    let modest = ask("modest", 1);
    sidecar.bucket.entered.acquire().await.unwrap().forget();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let more = sidecar.bucket.entered.available_permits();
    assert_eq!(
        more, 0,
        "the thirteenth GET is the other client's, and there is no other"
    );
    sidecar.bucket.gate.add_permits(1000);
    assert_eq!(modest.await.unwrap(), 206);
    for answer in greedy {
        assert_eq!(answer.await.unwrap(), 206);
    }
}

#[tokio::test]
async fn an_answer_says_whether_it_came_from_here_or_from_s3_or_was_shared_and_what_it_took() {
    let sidecar = Sidecar::start_gated().await;
    let (key, _) = sidecar.store("told", 4 * PAGE as usize).await;
    let status = async |range: &str| {
        let answer = sidecar.send("GET", &key, Some(range)).await;
        answer.header("cache-status").to_owned()
    };
    let opened = async {
        sidecar.bucket.entered.acquire().await.unwrap().forget();
        // One of them fetches; the gate opens when the other one waits for it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        sidecar.bucket.gate.add_permits(1000);
    };
    let (one, other, ()) = tokio::join!(status("bytes=0-9"), status("bytes=5-20"), opened);
    let mut both = [one, other];
    both.sort();
    assert_eq!(
        both,
        [
            "yaks-cache; fwd=uri-miss; stored; collapsed",
            "yaks-cache; fwd=uri-miss; stored; yaks-gets=1"
        ]
    );
    assert_eq!(status("bytes=0-9").await, "yaks-cache; hit; detail=memory");
    assert_eq!(
        status("bytes=0-99999").await,
        "yaks-cache; fwd=partial; stored; yaks-gets=1"
    );
    let head = sidecar.send("HEAD", &key, None).await;
    assert_eq!(head.header("cache-status"), "yaks-cache; hit; detail=memory");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_when_its_turn_comes_is_not_asked_of_s3() {
    let sidecar = Sidecar::start_gated().await;
    let asker = Asker::default();
    let mut keys = Vec::new();
    for n in 0..20 {
        keys.push(sidecar.store(&format!("asked for {n}"), 10).await.0);
    }
    let mut readers: Vec<_> = keys
        .iter()
        .map(|key| Box::pin(sidecar.objects.object_bytes(key, &asker)))
        .collect();
    for reader in &mut readers {
        assert!(futures::poll!(reader).is_pending());
    }
    // As many as one client has turns.
    sidecar.bucket.entered.acquire_many(12).await.unwrap().forget();
    drop(readers.split_off(12));
    sidecar.bucket.gate.add_permits(1000);
    for reader in readers {
        assert_eq!(reader.await.unwrap().0, 10);
    }
    assert_eq!(sidecar.objects.object_bytes(&keys[19], &asker).await.unwrap().0, 10);
    assert_eq!((sidecar.gets(), asker.gets.so_far()), (13, 13));
}

/// Reads until it is known how long a GET takes, and then one that takes longer: its gate opens when both its GETs are under way, after
/// `before_it_opens`.
async fn read_slowly(sidecar: &Sidecar, asker: &Asker, before_it_opens: impl FnOnce()) -> Option<u64> {
    sidecar.bucket.gate.add_permits(1);
    for n in 0..100 {
        let (key, _) = sidecar.store(&format!("quick {n}"), 10).await;
        sidecar.objects.object_bytes(&key, asker).await.unwrap();
    }
    sidecar.bucket.entered.acquire_many(100).await.unwrap().forget();
    let (key, _) = sidecar.store("slow", 10).await;
    let gate = sidecar.bucket.gate.acquire().await.unwrap();
    let reader = sidecar.objects.object_bytes(&key, asker);
    let opened = async {
        sidecar.bucket.entered.acquire_many(2).await.unwrap().forget();
        before_it_opens();
        drop(gate);
    };
    let (read, ()) = tokio::join!(reader, opened);
    read.ok().map(|(object_bytes, _)| object_bytes)
}

fn hedges(result: &str) -> u64 {
    counted(&format!(r#"yaks_cache_hedges_total{{result="{result}"}}"#))
}

#[tokio::test]
async fn a_get_that_is_slower_than_others_is_sent_again_and_the_first_answer_taken() {
    let (sidecar, asker) = (Sidecar::start_gated().await, Asker::default());
    assert_eq!(read_slowly(&sidecar, &asker, || ()).await, Some(10));
    assert_eq!(asker.gets.so_far(), 102, "both are paid for");
    assert_eq!(hedges("won") + hedges("lost"), 1);
}

#[tokio::test]
async fn a_get_that_was_sent_twice_and_failed_twice_is_counted_too() {
    let (sidecar, asker) = (Sidecar::start_gated().await, Asker::default());
    let fail = || sidecar.bucket.failing.store(true, Ordering::SeqCst);
    assert_eq!(read_slowly(&sidecar, &asker, fail).await, None);
    assert_eq!((asker.gets.so_far(), hedges("failed")), (102, 1));
}
