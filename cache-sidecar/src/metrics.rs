//! Every metric of the sidecar; those of S3 are in `storage`.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const REQUESTS: &str = "yaks_cache_requests_total";
const DURATION: &str = "yaks_cache_request_duration_seconds";
const BODY_BYTES: &str = "yaks_cache_body_bytes_total";
const PAGE_READS: &str = "yaks_cache_page_reads_total";
const DAMAGED: &str = "yaks_cache_damaged_pages_total";
const DISK_ERRORS: &str = "yaks_cache_disk_errors_total";
const MEMORY: &str = "yaks_cache_memory_bytes";

/// Where a page came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PageSource {
    Memory,
    Disk,
    /// Fetched for this reader.
    Origin,
    /// Fetched for another reader, who was first.
    Shared,
}

/// Describes the metrics; called once.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "Requests for objects, by method and status");
    describe_histogram!(DURATION, "Time until the answer starts, in seconds, by method");
    describe_counter!(BODY_BYTES, "Bytes of objects sent (GET) and taken (PUT)");
    describe_counter!(PAGE_READS, "Pages read, by where they came from");
    describe_counter!(DAMAGED, "Pages whose checksum did not match; they were fetched again");
    describe_counter!(DISK_ERRORS, "Reads from disk that failed; the pages were fetched again");
    describe_gauge!(MEMORY, "Bytes of pages in memory");
}

pub(crate) fn count_request(method: &'static str, status: u16, body_bytes: u64, took: Duration) {
    counter!(REQUESTS, "method" => method, "status" => status.to_string()).increment(1);
    counter!(BODY_BYTES, "method" => method).increment(body_bytes);
    histogram!(DURATION, "method" => method).record(took);
}

pub(crate) fn count_page(source: PageSource) {
    let source = match source {
        PageSource::Memory => "memory",
        PageSource::Disk => "disk",
        PageSource::Origin => "origin",
        PageSource::Shared => "shared",
    };
    counter!(PAGE_READS, "source" => source).increment(1);
}

pub(crate) fn count_damaged_page() {
    counter!(DAMAGED).increment(1);
}

pub(crate) fn count_disk_error() {
    counter!(DISK_ERRORS).increment(1);
}

pub(crate) fn set_memory_bytes(bytes: usize) {
    gauge!(MEMORY).set(bytes as f64);
}
