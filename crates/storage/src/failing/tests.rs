//! Every fault does what it says, and the same seed does it again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use types::{ObjectKey, SeededEntropy};

use super::*;
use crate::{MemoryStore, contract};

struct Bucket {
    memory: Arc<MemoryStore>,
    store: FailingStore,
    faults: FaultHandle,
}

fn bucket(seed: u64) -> Bucket {
    let memory = Arc::new(MemoryStore::new());
    let store = FailingStore::new(memory.clone(), Arc::new(SeededEntropy::new(seed)));
    let faults = store.faults();
    Bucket { memory, store, faults }
}

fn key(n: usize) -> ObjectKey {
    ObjectKey::new(format!("k/{n:03}"))
}

impl Bucket {
    async fn put(&self, n: usize) -> Result<PutOutcome, StorageError> {
        self.store.put_if_absent(&key(n), Bytes::from_static(b"bytes")).await
    }

    /// What is really there, whatever the faults.
    async fn has(&self, n: usize) -> bool {
        self.memory.get(&key(n), GetRange::Full).await.is_ok()
    }
}

fn unanswered(error: &StorageError) -> bool {
    matches!(error.kind, StorageErrorKind::Unavailable | StorageErrorKind::TimedOut)
}

#[tokio::test]
async fn without_faults_it_keeps_the_contract() {
    contract::run(Arc::new(bucket(1).store), "contract/").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_before_did_nothing() {
    let bucket = bucket(1);
    bucket.faults.set_all(FaultRates {
        failed_before: 1.0,
        ..FaultRates::default()
    });
    for n in 0..20 {
        assert!(unanswered(&bucket.put(n).await.unwrap_err()));
        assert!(!bucket.has(n).await);
    }
    assert_eq!(bucket.faults.count(FaultKind::FailedBefore), 20);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_hides_what_happened() {
    let bucket = bucket(1);
    bucket.faults.set_all(FaultRates {
        answer_lost: 1.0,
        ..FaultRates::default()
    });
    let mut kinds = Vec::new();
    for n in 0..20 {
        kinds.push(bucket.put(n).await.unwrap_err().kind);
        assert!(bucket.has(n).await);
    }
    assert!(kinds.contains(&StorageErrorKind::TimedOut) && kinds.contains(&StorageErrorKind::Unavailable));
    bucket.store.delete(&key(0)).await.unwrap_err();
    assert!(!bucket.has(0).await);
    assert_eq!(bucket.faults.count(FaultKind::AnswerLost), 21);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_happens_later_happens_after_its_error() {
    let bucket = bucket(1);
    bucket.faults.set_times(FaultTimes {
        late: DelayRange {
            min: Duration::from_secs(20),
            max: Duration::from_secs(30),
        },
        ..FaultTimes::default()
    });
    bucket.faults.set_all(FaultRates {
        happens_later: 1.0,
        ..FaultRates::default()
    });
    assert!(unanswered(&bucket.put(0).await.unwrap_err()));
    assert!(!bucket.has(0).await);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(bucket.has(0).await);
    bucket
        .store
        .get(&key(0), GetRange::Full)
        .await
        .expect("a GET has no later");
    assert_eq!(
        bucket.faults.counts(),
        [((StoreOperation::Put, FaultKind::HappensLater), 1)].into()
    );
}

#[tokio::test(start_paused = true)]
async fn throttling_and_conflicts_do_nothing_and_say_so() {
    let bucket = bucket(1);
    bucket.faults.set_all(FaultRates {
        throttled: 1.0,
        ..FaultRates::default()
    });
    assert_eq!(bucket.put(0).await.unwrap_err().kind, StorageErrorKind::Throttled);
    let listed = bucket.store.list("k/", None).await;
    assert_eq!(listed.unwrap_err().kind, StorageErrorKind::Throttled);
    bucket.faults.set_all(FaultRates {
        conflict: 1.0,
        ..FaultRates::default()
    });
    assert_eq!(bucket.put(0).await.unwrap_err().kind, StorageErrorKind::Conflict);
    assert_eq!(
        bucket.store.list("k/", None).await.unwrap(),
        [],
        "only a PUT has conflicts"
    );
    assert!(!bucket.has(0).await);
}

#[tokio::test(start_paused = true)]
async fn a_partial_read_is_an_error_worth_a_retry() {
    let bucket = bucket(1);
    bucket.faults.set_all(FaultRates {
        partial_read: 1.0,
        ..FaultRates::default()
    });
    bucket.put(0).await.unwrap();
    let error = bucket.store.get(&key(0), GetRange::Full).await.unwrap_err();
    assert!(error.is_retriable() && error.message.contains("body"), "{error}");
    let absent = bucket.store.get(&key(1), GetRange::Full).await.unwrap_err();
    assert_eq!(absent.kind, StorageErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn slow_requests_take_their_time_and_succeed() {
    let bucket = bucket(1);
    let slow = DelayRange {
        min: Duration::from_secs(1),
        max: Duration::from_secs(3),
    };
    bucket.faults.set_times(FaultTimes {
        slow,
        ..FaultTimes::default()
    });
    bucket.faults.set_all(FaultRates {
        slow: 1.0,
        ..FaultRates::default()
    });
    let mut took = Vec::new();
    for n in 0..50 {
        let asked = Instant::now();
        assert_eq!(bucket.put(n).await.unwrap(), PutOutcome::Created);
        took.push(asked.elapsed());
    }
    // Tokio's timer has a resolution of a millisecond.
    let longest = slow.max + Duration::from_millis(2);
    assert!(took.iter().all(|took| (slow.min..=longest).contains(took)), "{took:?}");
    assert!(took.iter().max() > took.iter().min());
}

#[tokio::test(start_paused = true)]
async fn an_outage_stops_everything_until_it_is_over() {
    let bucket = bucket(1);
    bucket.faults.set_outage(Some(Outage::Refused));
    let asked = Instant::now();
    assert_eq!(bucket.put(0).await.unwrap_err().kind, StorageErrorKind::Unavailable);
    assert_eq!(
        bucket.store.check().await.unwrap_err().kind,
        StorageErrorKind::Unavailable
    );
    assert_eq!(asked.elapsed(), Duration::ZERO);
    bucket.faults.set_outage(Some(Outage::Silent));
    assert_eq!(bucket.put(0).await.unwrap_err().kind, StorageErrorKind::TimedOut);
    assert_eq!(asked.elapsed(), FaultTimes::default().silence);
    assert!(!bucket.has(0).await);
    bucket.faults.heal();
    assert_eq!(bucket.put(0).await.unwrap(), PutOutcome::Created);
    assert_eq!(bucket.faults.count(FaultKind::Outage), 3);
}

#[tokio::test(start_paused = true)]
async fn faults_come_as_often_as_they_are_wanted() {
    let bucket = bucket(3);
    bucket.faults.set(StoreOperation::Put, FaultRates::all(0.1));
    for n in 0..1000 {
        let _ = bucket.put(n).await;
        bucket.store.list("k/", None).await.expect("only PUTs fail");
    }
    let counts = bucket.faults.counts();
    assert!(counts.keys().all(|(operation, _)| *operation == StoreOperation::Put));
    // Five standard deviations around 100 of 1000.
    let within = counts.values().all(|count| (52..=148).contains(count));
    assert!(within && counts.len() == 6, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_does_the_same_again() {
    async fn run(seed: u64) -> Vec<String> {
        let bucket = bucket(seed);
        bucket.faults.set_all(FaultRates::all(0.1));
        let began = Instant::now();
        let mut seen = Vec::new();
        for n in 0..200 {
            let put = bucket.put(n % 50).await;
            let got = bucket.store.get(&key(n % 70), GetRange::Full).await;
            seen.push(format!("{put:?} {:?} {:?}", got.map(|got| got.bytes), began.elapsed()));
        }
        seen
    }
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
}
