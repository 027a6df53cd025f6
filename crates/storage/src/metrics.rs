//! Every metric of the S3 client.

use std::future::Future;
use std::time::Instant;

use metrics::{counter, describe_counter, describe_histogram, histogram};

use crate::{StorageError, StorageErrorKind};

const REQUESTS: &str = "yaks_s3_requests_total";
const DURATION: &str = "yaks_s3_request_duration_seconds";
const BYTES: &str = "yaks_s3_bytes_total";

/// Describes the metrics; called once per store.
pub(crate) fn describe() {
    describe_counter!(
        REQUESTS,
        "S3 calls by operation and result; the SDK's own retries count as one call"
    );
    describe_histogram!(DURATION, "Time of S3 calls in seconds, bodies and retries included");
    describe_counter!(
        BYTES,
        "Bytes of object bodies sent to or received from S3, by operation"
    );
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
