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
const TURNED_AWAY: &str = "yaks_cache_disk_turned_away_total";
const HEDGES: &str = "yaks_cache_hedges_total";
const PEER_READS: &str = "yaks_cache_peer_reads_total";
const FETCH_WAIT: &str = "yaks_cache_fetch_wait_seconds";

/// Where a page came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageSource {
    Memory,
    Disk,
    /// Fetched for this reader.
    Origin,
    /// Fetched for another reader, who was first, or pushed meanwhile.
    Shared,
}

/// What another sidecar said.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PeerResult {
    Hit,
    Miss,
    Error,
}

/// How a second GET went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HedgeResult {
    /// It answered first.
    Won,
    /// The first one did after all.
    Lost,
}

/// Describes the metrics; called once.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "Requests for objects, by method and status");
    describe_histogram!(DURATION, "Time until the answer starts, in seconds, by method");
    describe_counter!(BODY_BYTES, "Bytes of objects sent (GET) and taken (PUT)");
    describe_counter!(PAGE_READS, "Pages read, by where they came from");
    describe_counter!(DAMAGED, "Pages whose checksum did not match; they were fetched again");
    describe_counter!(DISK_ERRORS, "Reads from disk that failed; the pages were fetched again");
    describe_counter!(
        TURNED_AWAY,
        "Pages not written to disk: it is full, and they were asked for once"
    );
    describe_counter!(HEDGES, "Second GETs sent after slow ones, by which of the two won");
    describe_counter!(PEER_READS, "Runs of pages asked of their former owner, by result");
    describe_histogram!(
        FETCH_WAIT,
        "Time that a GET waits for its client's turn, in seconds, by lane"
    );
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

pub(crate) fn count_turned_away() {
    counter!(TURNED_AWAY).increment(1);
}

pub(crate) fn count_hedge(result: HedgeResult) {
    let result = match result {
        HedgeResult::Won => "won",
        HedgeResult::Lost => "lost",
    };
    counter!(HEDGES, "result" => result).increment(1);
}

pub(crate) fn count_peer(result: PeerResult) {
    let result = match result {
        PeerResult::Hit => "hit",
        PeerResult::Miss => "miss",
        PeerResult::Error => "error",
    };
    counter!(PEER_READS, "result" => result).increment(1);
}

pub(crate) fn observe_fetch_wait(lane: &'static str, waited: Duration) {
    histogram!(FETCH_WAIT, "lane" => lane).record(waited);
}
