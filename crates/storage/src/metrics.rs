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
    &["ok", "not_found", "throttled", "timed_out", "unavailable"],
    "S3's kinds of failure, and `already_exists`",
);

types::metric_list! {
    /// All metrics of the S3 client.
    pub static METRICS;
    pub(crate) const:
    REQUESTS = Counter "yaks_s3_requests_total" Count [OPERATION, RESULT]
        "S3 calls by operation and result; the SDK's own retries count as one call";
    DURATION = Histogram "yaks_s3_request_duration_seconds" Seconds [OPERATION]
        "Time of S3 calls, bodies and retries included, by operation";
    BYTES = Counter "yaks_s3_bytes_total" Bytes [BODIES] "Bytes of object bodies sent to (PutObject) or received from (GetObject) S3";
}

/// Runs one call and counts it.
pub(crate) async fn observed<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StorageError>>,
    result_of: impl Fn(&T) -> &'static str,
) -> Result<T, StorageError> {
    let started = Instant::now();
    let result = call.await;
    let label = match &result {
        Ok(value) => result_of(value),
        Err(error) => error_label(error.kind),
    };
    counter!(REQUESTS, "operation" => operation, "result" => label).increment(1);
    histogram!(DURATION, "operation" => operation).record(started.elapsed());
    result
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
