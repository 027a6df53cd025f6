//! Every metric of the S3 client.

use std::future::Future;
use std::time::Instant;

use metrics::{counter, histogram};
use types::MetricLabel;

use crate::{StorageError, StorageErrorKind};

const OPERATION: MetricLabel = MetricLabel::of(
    "operation",
    &["PutObject", "GetObject", "ListObjectsV2", "DeleteObject"],
);
const BODIES: MetricLabel = MetricLabel::of("operation", &["PutObject", "GetObject"]);
const RESULT: MetricLabel = MetricLabel::open(
    "result",
    &["ok", "not_found", "throttled", "timed_out", "unavailable", "cancelled"],
    "S3's kinds of failure, and `already_exists`",
);

types::metric_list! {
    /// All metrics of the S3 client.
    pub static METRICS;
    pub(crate) const:
    REQUESTS = Counter "yaks_s3_requests_total" Count [OPERATION, RESULT]
        "S3 calls by operation and result; the SDK's own retries count as one call, and one whose caller went away was sent nevertheless (cancelled)";
    DURATION = Histogram "yaks_s3_request_duration_seconds" Seconds [OPERATION]
        "Time of S3 calls until they end or are cancelled, bodies and retries included, by operation";
    BYTES = Counter "yaks_s3_bytes_total" Bytes [BODIES] "Bytes of object bodies sent to (PutObject) or received from (GetObject) S3";
}

/// Runs one call and counts it, also when it is dropped half way: S3 was asked, and bills for it. A call that is never polled sends
/// nothing, and is not counted: it gets its timer with the first poll.
pub(crate) async fn observed<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StorageError>>,
    result_of: impl Fn(&T) -> &'static str,
) -> Result<T, StorageError> {
    let mut timer = CallTimer::start(operation);
    let result = call.await;
    timer.result = match &result {
        Ok(value) => result_of(value),
        Err(error) => error_label(error.kind),
    };
    result
}

/// A call under way; counted when it is dropped.
struct CallTimer {
    operation: &'static str,
    started: Instant,
    result: &'static str,
}

impl CallTimer {
    fn start(operation: &'static str) -> Self {
        Self {
            operation,
            started: Instant::now(),
            result: "cancelled",
        }
    }
}

impl Drop for CallTimer {
    fn drop(&mut self) {
        counter!(REQUESTS, "operation" => self.operation, "result" => self.result).increment(1);
        histogram!(DURATION, "operation" => self.operation).record(self.started.elapsed());
    }
}

/// Counts body bytes.
pub(crate) fn count_bytes(operation: &'static str, bytes: usize) {
    counter!(BYTES, "operation" => operation).increment(bytes as u64);
}

fn error_label(kind: StorageErrorKind) -> &'static str {
    match kind {
        StorageErrorKind::NotFound => "not_found",
        StorageErrorKind::BadBucket => "bad_bucket",
        StorageErrorKind::RangeNotSatisfiable => "range_not_satisfiable",
        StorageErrorKind::AccessDenied => "access_denied",
        StorageErrorKind::Throttled => "throttled",
        StorageErrorKind::Conflict => "conflict",
        StorageErrorKind::TimedOut => "timed_out",
        StorageErrorKind::Unavailable => "unavailable",
        StorageErrorKind::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;

    /// Counters by their labels.
    #[derive(Default)]
    struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl Counters {
        fn counted(&self, operation: &str, result: &str) -> u64 {
            let counters = self.0.lock().unwrap();
            let counter = counters.get(&format!("{operation} {result}"));
            counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
        }
    }

    impl Recorder for Counters {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
            let mut counters = self.0.lock().unwrap();
            Counter::from_arc(Arc::clone(counters.entry(labels.join(" ")).or_default()))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    fn poll<T>(call: impl Future<Output = Result<T, StorageError>>) -> Poll<Result<T, StorageError>> {
        pin!(call).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_call_that_is_dropped_counts_as_cancelled_once_it_was_begun() {
        let counters = Counters::default();
        metrics::with_local_recorder(&counters, || {
            drop(observed("GetObject", pending::<Result<(), _>>(), |()| "ok"));
            assert_eq!(counters.counted("GetObject", "cancelled"), 0, "nothing was sent");
            assert!(poll(observed("GetObject", pending::<Result<(), _>>(), |()| "ok")).is_pending());
            assert_eq!(counters.counted("GetObject", "cancelled"), 1);
            assert!(poll(observed("GetObject", ready(Ok(())), |()| "ok")).is_ready());
        });
        let counted = ["ok", "cancelled"].map(|result| counters.counted("GetObject", result));
        assert_eq!(counted, [1, 1]);
    }
}
