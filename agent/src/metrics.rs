//! Every metric of the agent: its name, its unit, what it counts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Connections open now.
pub const CONNECTIONS: &str = "yaks_connections";
/// Connections closed by us, by reason.
pub const CONNECTIONS_REFUSED: &str = "yaks_connections_refused_total";
/// Requests taken in, by API.
pub const REQUESTS: &str = "yaks_requests_total";
/// Requests that got no answer but a closed connection, by API.
pub const REQUESTS_REFUSED: &str = "yaks_requests_refused_total";
/// From the last byte of a request to the last byte of its answer, by API.
pub const REQUEST_SECONDS: &str = "yaks_request_duration_seconds";
/// Bytes of requests, lengths not counted.
pub const BYTES_IN: &str = "yaks_bytes_received_total";
/// Bytes of answers.
pub const BYTES_OUT: &str = "yaks_bytes_sent_total";

/// PUTs of objects that are tried again.
pub const UPLOAD_RETRIES: &str = "yaks_upload_retries_total";
/// Tombstones written, by reason: an object could not be stored (`unstorable`), or the stream was left (`end`).
pub const TOMBSTONES: &str = "yaks_tombstones_total";
/// Objects sealed, by reason.
pub const OBJECTS_SEALED: &str = "yaks_objects_sealed_total";
/// Sizes of sealed objects.
pub const OBJECT_BYTES: &str = "yaks_object_bytes";
/// Slots of the open stream that are not committed yet.
pub const UNCOMMITTED_SLOTS: &str = "yaks_uncommitted_slots";
/// Age of the oldest object that is in S3 and has no offsets yet, by whose view that is: this agent's own objects (`own`), or slots
/// of any agent that wait in Postgres for one before them (`pending`). What to be alarmed by: it stays near 0 while all is well.
pub const UNSEQUENCED_AGE: &str = "yaks_unsequenced_object_age_seconds";
/// Slots in Postgres that wait for one before them, of all agents.
pub const PENDING_SLOTS: &str = "yaks_pending_slots";
/// Slots past their stream's end that are recorded and not deleted yet, of all agents.
pub const ORPHANS_KEPT: &str = "yaks_orphans_kept";
/// Streams left because a slot was lost.
pub const FENCED_STREAMS: &str = "yaks_fenced_streams_total";
/// Commits made by the agent because the event was late.
pub const STALLED_COMMITS: &str = "yaks_stalled_commits_total";
/// Invocations of the function that failed.
pub const INVOKE_FAILURES: &str = "yaks_invoke_failures_total";
/// Slots of ours that a commit refused: a fault to look into.
pub const REFUSED_SLOTS: &str = "yaks_refused_slots_total";
/// Reads that went to S3 because the sidecar did not serve them.
pub const CACHE_FALLBACKS: &str = "yaks_cache_fallbacks_total";
/// Reads whose bytes from the sidecar were damaged, so that S3 was asked.
pub const CACHE_DAMAGED: &str = "yaks_cache_damaged_reads_total";
/// Fetch plans by source: `tail`, from memory, as readers at the tail have it; `postgres`; `outage`, from memory because Postgres does not
/// answer.
pub const FETCH_PLANS: &str = "yaks_fetch_plans_total";
/// Objects pushed into the sidecar, by result.
pub const CACHE_PUSHES: &str = "yaks_cache_pushes_total";
/// Sidecars of this zone, of which each object has one as its owner.
pub const CACHE_RING_MEMBERS: &str = "yaks_cache_ring_members";
/// Record batches refused before they entered the buffer.
pub const BATCHES_REFUSED: &str = "yaks_batches_refused_total";
/// Bytes of record batches taken in.
pub const PRODUCE_BYTES: &str = "yaks_produce_bytes_total";
/// Bytes of record batches given to readers.
pub const FETCH_BYTES: &str = "yaks_fetch_bytes_total";
/// Fetch sessions of readers.
pub const FETCH_SESSIONS: &str = "yaks_fetch_sessions";

/// Groups taken from another coordinator, or loaded.
pub const GROUPS_TAKEN: &str = "yaks_groups_taken_total";
/// Writes of groups.
pub const GROUP_SAVES: &str = "yaks_group_saves_total";
/// Groups held in memory.
pub const GROUPS: &str = "yaks_groups";
/// Requests passed on to other agents, by API and result.
pub const RELAYED: &str = "yaks_relayed_requests_total";
/// Offsets of idle groups that were forgotten.
pub const OFFSETS_EXPIRED: &str = "yaks_offsets_expired_total";

/// Tells the exporter what each metric means.
pub fn describe() {
    describe_gauge!(CONNECTIONS, Unit::Count, "Kafka connections open now");
    describe_counter!(
        CONNECTIONS_REFUSED,
        Unit::Count,
        "Kafka connections that the agent closed, by reason"
    );
    describe_counter!(REQUESTS, Unit::Count, "Kafka requests taken in, by API");
    describe_counter!(
        REQUESTS_REFUSED,
        Unit::Count,
        "Kafka requests refused by closing the connection, by API"
    );
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from a whole request to its whole answer, by API"
    );
    describe_counter!(BYTES_IN, Unit::Bytes, "Bytes of Kafka requests received");
    describe_counter!(BYTES_OUT, Unit::Bytes, "Bytes of Kafka answers sent");
    describe_counter!(UPLOAD_RETRIES, Unit::Count, "PUTs of objects that are tried again");
    describe_counter!(
        TOMBSTONES,
        Unit::Count,
        "Tombstones written, by reason: an object could not be stored, or the stream was left"
    );
    describe_counter!(OBJECTS_SEALED, Unit::Count, "Objects sealed, by reason");
    describe_histogram!(OBJECT_BYTES, Unit::Bytes, "Sizes of sealed objects");
    describe_gauge!(
        UNCOMMITTED_SLOTS,
        Unit::Count,
        "Slots of the open stream that are not committed yet"
    );
    describe_gauge!(
        UNSEQUENCED_AGE,
        Unit::Seconds,
        "Age of the oldest object that is in S3 and has no offsets yet: own ones of this agent, or pending ones of any"
    );
    describe_gauge!(
        PENDING_SLOTS,
        Unit::Count,
        "Slots in Postgres that wait for one before them, of all agents"
    );
    describe_gauge!(
        ORPHANS_KEPT,
        Unit::Count,
        "Slots past their stream's end that are recorded and not deleted yet, of all agents"
    );
    describe_counter!(FENCED_STREAMS, Unit::Count, "Streams left because a slot was lost");
    describe_counter!(
        STALLED_COMMITS,
        Unit::Count,
        "Commits made by the agent because the event was late"
    );
    describe_counter!(INVOKE_FAILURES, Unit::Count, "Invocations of the function that failed");
    describe_counter!(
        REFUSED_SLOTS,
        Unit::Count,
        "Slots of ours that a commit refused: a fault to look into"
    );
    describe_counter!(
        CACHE_FALLBACKS,
        Unit::Count,
        "Reads that went to S3 because the sidecar did not serve them"
    );
    describe_counter!(
        CACHE_DAMAGED,
        Unit::Count,
        "Reads whose bytes from the sidecar were damaged, so that S3 was asked"
    );
    describe_counter!(
        FETCH_PLANS,
        Unit::Count,
        "Fetch plans, by source: tail (memory), postgres, or outage (memory, because Postgres does not answer)"
    );
    describe_counter!(
        CACHE_PUSHES,
        Unit::Count,
        "Objects pushed into the sidecar, by result; those skipped would have been more than is held for it"
    );
    describe_gauge!(CACHE_RING_MEMBERS, Unit::Count, "Sidecars of this zone");
    describe_counter!(
        BATCHES_REFUSED,
        Unit::Count,
        "Record batches refused before they entered the buffer"
    );
    describe_counter!(
        GROUPS_TAKEN,
        Unit::Count,
        "Consumer groups taken from another coordinator, or loaded"
    );
    describe_counter!(GROUP_SAVES, Unit::Count, "Writes of consumer groups");
    describe_gauge!(GROUPS, Unit::Count, "Consumer groups held in memory");
    describe_counter!(
        RELAYED,
        Unit::Count,
        "Requests passed on to the coordinators of their groups, by API and result"
    );
    describe_counter!(
        OFFSETS_EXPIRED,
        Unit::Count,
        "Offsets of idle consumer groups that were forgotten"
    );
    describe_counter!(PRODUCE_BYTES, Unit::Bytes, "Bytes of record batches taken in");
    describe_counter!(FETCH_BYTES, Unit::Bytes, "Bytes of record batches given to readers");
    describe_gauge!(FETCH_SESSIONS, Unit::Count, "Fetch sessions of readers");
}
