//! Every metric of the agent.

use types::MetricLabel;

use crate::dispatch::APIS;

/// The names of all APIs that are served.
static API_NAMES: [&str; APIS.len()] = {
    let mut names = [""; APIS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = APIS[at].name;
        at += 1;
    }
    names
};

const API: MetricLabel = MetricLabel::open("api", &API_NAMES, "`unknown`");
/// Buckets of every API would be a thousand lines of zeros.
const BUSY_API: MetricLabel = MetricLabel::open("api", &["Produce", "Fetch"], "the APIs of the README");
const GROUP_API: MetricLabel = MetricLabel::open("api", &["JoinGroup", "OffsetCommit"], "the APIs of groups");
const CLOSED: MetricLabel = MetricLabel::of(
    "reason",
    &["lost", "idle", "stalled", "frame", "foreign", "slow", "panic"],
);
const TOMBSTONE: MetricLabel = MetricLabel::of("reason", &["unstorable", "end"]);
const SEAL: MetricLabel = MetricLabel::of("reason", &["bytes", "footer", "time", "stop"]);
const WHOSE: MetricLabel = MetricLabel::of("of", &["own", "pending"]);
const PLANNED: MetricLabel = MetricLabel::of("source", &["tail", "postgres", "outage"]);
const PUSHED: MetricLabel = MetricLabel::of("result", &["ok", "error", "skipped"]);
const POOL: MetricLabel = MetricLabel::of(
    "pool",
    &[
        "requests",
        "answers",
        "cold_answers",
        "other_answers",
        "searches",
        "pushes",
    ],
);
const LAG: MetricLabel = MetricLabel::of("group", &["max", "sum"]);
const RELAY: MetricLabel = MetricLabel::of("result", &["answered", "failed"]);
const TOPIC: MetricLabel = MetricLabel::open("topic", &["(others)"], "the dearest topics, 200 at most");
const COST: MetricLabel = MetricLabel::of("kind", &["put", "commit", "get"]);

types::metric_list! {
    /// All of them.
    pub static METRICS;
    pub const:
    CONNECTIONS = Gauge "yaks_connections" Count [] "Kafka connections open now";
    CONNECTIONS_REFUSED = Counter "yaks_connections_refused_total" Count [CLOSED]
        "Kafka connections that the agent closed, by reason";
    REQUESTS = Counter "yaks_requests_total" Count [API] "Kafka requests taken in, by API";
    REQUESTS_REFUSED = Counter "yaks_requests_refused_total" Count [API]
        "Kafka requests that got no answer but a closed connection, by API";
    REQUEST_SECONDS = Histogram "yaks_request_duration_seconds" Seconds [BUSY_API]
        "Time from the last byte of a request to the last byte of its answer, by API";
    BYTES_IN = Counter "yaks_bytes_received_total" Bytes [] "Bytes of Kafka requests received, lengths not counted";
    BYTES_OUT = Counter "yaks_bytes_sent_total" Bytes [] "Bytes of Kafka answers sent";

    MEMORY_HELD = Gauge "yaks_memory_held_bytes" Bytes [POOL]
        "Bytes in memory now, by pool: of requests until their data are in S3 (requests), of answers to fetches at the tail (answers) and of old data (cold_answers) until clients have taken them, of other_answers likewise, of rows searched for a time (searches), of objects on their way into the sidecar (pushes)";
    MEMORY_MAX = Gauge "yaks_memory_max_bytes" Bytes [POOL] "Most bytes in memory at once, by pool: a part of `YAKS_MEMORY_MB`";
    MEMORY_WAIT = Histogram "yaks_memory_wait_seconds" Seconds [POOL]
        "Time that those waited who found too few bytes of their pool free, by pool";
    MEMORY_SHORTENED = Counter "yaks_memory_shortened_total" Count [POOL]
        "Answers to fetches that are shorter than they could be for want of memory, by pool";
    MEMORY_REFUSED = Counter "yaks_memory_refused_total" Count [POOL]
        "What was given up for want of memory, by pool: fetches answered without records, objects not pushed into the sidecar";

    UPLOAD_RETRIES = Counter "yaks_upload_retries_total" Count [] "PUTs of objects that are tried again";
    TOMBSTONES = Counter "yaks_tombstones_total" Count [TOMBSTONE]
        "Tombstones written, by reason: an object could not be stored (unstorable), or the stream was left (end)";
    OBJECTS_SEALED = Counter "yaks_objects_sealed_total" Count [SEAL]
        "Objects sealed, by reason: they were full (bytes, footer), their interval was over (time), or the agent stops";
    OBJECT_BYTES = Histogram "yaks_object_bytes" Bytes [] "Sizes of sealed objects";
    BUFFER_SECONDS = Histogram "yaks_buffer_wait_seconds" Seconds []
        "Time that the first record batch of an object waits in the buffer until it is sealed";
    COMMIT_LAG = Histogram "yaks_commit_lag_seconds" Seconds []
        "Time from an object's slot being ours in S3, and all before it, to its offsets being known to this agent";
    UNCOMMITTED_SLOTS = Gauge "yaks_uncommitted_slots" Count [] "Slots of the open stream that are not committed yet";
    UNSEQUENCED_AGE = Gauge "yaks_unsequenced_object_age_seconds" Seconds [WHOSE]
        "Age of the oldest object that is in S3 and has no offsets yet: this agent's (own), or of slots of any agent that wait in Postgres for one before them (pending). Near 0 while all is well";
    PENDING_SLOTS = Gauge "yaks_pending_slots" Count [] "Slots in Postgres that wait for one before them, of all agents";
    ORPHANS_KEPT = Gauge "yaks_orphans_kept" Count []
        "Slots past their stream's end that are recorded and not deleted yet, of all agents";
    FENCED_STREAMS = Counter "yaks_fenced_streams_total" Count [] "Streams left because a slot was lost";
    STALLED_COMMITS = Counter "yaks_stalled_commits_total" Count [] "Commits made by the agent because the event was late";
    INVOKE_FAILURES = Counter "yaks_invoke_failures_total" Count [] "Invocations of the function that failed";
    REFUSED_SLOTS = Counter "yaks_refused_slots_total" Count []
        "Slots of this agent that a commit refused: a fault to look into";
    BATCHES_REFUSED = Counter "yaks_batches_refused_total" Count []
        "Record batches refused before they entered the buffer";
    PRODUCE_BYTES = Counter "yaks_produce_bytes_total" Bytes [] "Bytes of record batches taken in";

    FETCH_BYTES = Counter "yaks_fetch_bytes_total" Bytes [] "Bytes of record batches given to readers";
    FETCH_SESSIONS = Gauge "yaks_fetch_sessions" Count [] "Fetch sessions of readers";
    FETCH_PLANS = Counter "yaks_fetch_plans_total" Count [PLANNED]
        "Fetch plans, by source: tail (memory, as readers at the tail have it), postgres, or outage (memory, because Postgres does not answer)";
    CACHE_FALLBACKS = Counter "yaks_cache_fallbacks_total" Count []
        "Reads that went to S3 because the sidecar did not serve them";
    CACHE_DAMAGED = Counter "yaks_cache_damaged_reads_total" Count []
        "Reads whose bytes from the sidecar were damaged, so that S3 was asked";
    CACHE_PUSHES = Counter "yaks_cache_pushes_total" Count [PUSHED]
        "Objects pushed into the sidecar, by result; those skipped would have been more than is held for it";
    CACHE_RING_MEMBERS = Gauge "yaks_cache_ring_members" Count []
        "Sidecars of this zone, of which each object has one as its owner";

    GROUPS = Gauge "yaks_groups" Count [] "Consumer groups held in memory";
    GROUPS_TAKEN = Counter "yaks_groups_taken_total" Count []
        "Consumer groups taken from another coordinator, or loaded";
    GROUP_SAVES = Counter "yaks_group_saves_total" Count [] "Writes of consumer groups";
    RELAYED = Counter "yaks_relayed_requests_total" Count [GROUP_API, RELAY]
        "Requests passed on to the coordinators of their groups, by API and result";
    OFFSETS_EXPIRED = Counter "yaks_offsets_expired_total" Count []
        "Offsets of idle consumer groups that were forgotten";
    CONSUMER_LAG = Gauge "yaks_consumer_lag_records" Count [LAG]
        "Records between what consumer groups have committed and the ends of their partitions: of the group that is furthest behind (max), and of all groups (sum)";
}

types::metric_list! {
    /// Those by topic. Topics come and go, so that these are in no registry (`costs/watch.rs`).
    pub static TOPIC_METRICS;
    pub const:
    TOPIC_DOLLARS = Gauge "yaks_topic_dollars_per_hour" DollarsPerHour [TOPIC, COST]
        "US dollars an hour that this agent's requests to AWS cost, over the last minute, by the topics that cause them: PUTs of objects (put), the queue and the function for them (commit), and GETs for readers (get). The sum over agents is the cluster's";
    TOPIC_STORAGE_DOLLARS = Gauge "yaks_topic_storage_dollars_per_hour" DollarsPerHour [TOPIC]
        "US dollars an hour that the bytes of topics in S3 cost. The same from every agent: take the largest, not the sum";
}
