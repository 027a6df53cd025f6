//! Every metric of the sidecar; those of S3 are in `storage`.

use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use types::MetricLabel;

const METHOD: MetricLabel = MetricLabel::open("method", &["GET", "PUT"], "the methods of the contract");
const STATUS: MetricLabel = MetricLabel::open(
    "status",
    &["200", "206"],
    "the statuses of the contract, and 499 where the client hung up before the answer",
);
const SOURCE: MetricLabel = MetricLabel::of("source", &["memory", "disk", "origin", "shared"]);
const HEDGE: MetricLabel = MetricLabel::of("result", &["won", "lost", "failed"]);
const PEER: MetricLabel = MetricLabel::of("result", &["hit", "miss", "error"]);
const LANE: MetricLabel = MetricLabel::of("lane", &["hot", "cold"]);

types::metric_list! {
    /// All of them.
    pub static METRICS;
    const:
    REQUESTS = Counter "yaks_cache_requests_total" Count [METHOD, STATUS] "Requests for objects, by method and status";
    DURATION = Histogram "yaks_cache_request_duration_seconds" Seconds [METHOD]
        "Time until the answer to a request for an object starts, or its client hangs up, by method";
    BODY_BYTES = Counter "yaks_cache_body_bytes_total" Bytes [METHOD] "Bytes of objects sent (GET) and taken (PUT)";
    PAGE_READS = Counter "yaks_cache_page_reads_total" Count [SOURCE]
        "Pages read, by where they came from: memory, disk, S3 or another sidecar (origin), or what another reader fetched (shared)";
    DAMAGED = Counter "yaks_cache_damaged_pages_total" Count []
        "Pages whose checksum did not match; they are fetched again";
    DISK_ERRORS = Counter "yaks_cache_disk_errors_total" Count []
        "Reads from disk that failed; the pages were fetched again";
    MEMORY = Gauge "yaks_cache_memory_bytes" Bytes [] "Bytes of pages in memory";
    TURNED_AWAY = Counter "yaks_cache_disk_turned_away_total" Count []
        "Pages not written to disk: it is full, and they were asked for once";
    HEDGES = Counter "yaks_cache_hedges_total" Count [HEDGE] "Second GETs sent after slow ones, by whether it answered first (won), the first GET did (lost), or both failed";
    PEER_READS = Counter "yaks_cache_peer_reads_total" Count [PEER]
        "Runs of pages asked of their former owner, by result";
    FETCH_WAIT = Histogram "yaks_cache_fetch_wait_seconds" Seconds [LANE]
        "Time that a GET waits for its client's turn, by lane";
}

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
    /// Both were for nothing.
    Failed,
}

/// nginx's status for a client that hung up before the answer: never sent, only counted.
const CLIENT_HUNG_UP: u16 = 499;

/// A request under way; counted when it is answered, or dropped because its client hung up.
#[derive(Debug)]
pub(crate) struct RequestTimer {
    method: &'static str,
    started: Instant,
    status: u16,
    body_bytes: u64,
}

impl RequestTimer {
    pub(crate) fn start(method: &'static str) -> Self {
        Self {
            method,
            started: Instant::now(),
            status: CLIENT_HUNG_UP,
            body_bytes: 0,
        }
    }

    pub(crate) fn answered(mut self, status: u16, body_bytes: u64) {
        (self.status, self.body_bytes) = (status, body_bytes);
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        counter!(REQUESTS, "method" => self.method, "status" => self.status.to_string()).increment(1);
        counter!(BODY_BYTES, "method" => self.method).increment(self.body_bytes);
        histogram!(DURATION, "method" => self.method).record(self.started.elapsed());
    }
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
        HedgeResult::Failed => "failed",
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
