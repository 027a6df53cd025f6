//! Every metric of the function. Nobody scrapes a Lambda: there they are written for CloudWatch (`telemetry::EmbeddedMetrics`), if at all; in
//! one process with agents (the simulator) they are counted.

use metrics::counter;
use types::MetricLabel;

use crate::materialize::Fate;

const FATE: MetricLabel = MetricLabel::of(
    "result",
    &[
        "committed",
        "pending",
        "orphan",
        "unknown_stream",
        "gone",
        "foreign",
        "unreadable",
        "blocked",
        "retry",
    ],
);
const LETTER: MetricLabel = MetricLabel::of("result", &["sent", "failed"]);
const SWEPT: MetricLabel = MetricLabel::of("result", &["ended", "open", "failed"]);

const MESSAGE: MetricLabel = MetricLabel::of("result", &["deleted", "undeleted", "kept"]);
const QUEUE_OPERATION: MetricLabel = MetricLabel::of(
    "operation",
    &["ReceiveMessage", "DeleteMessageBatch", "GetQueueAttributes"],
);

types::metric_list! {
    /// All of them.
    pub static METRICS;
    const:
    OBJECTS = Counter "yaks_materializer_objects_total" Count [FATE]
        "Objects that events told of, by what became of them";
    BAD_EVENTS = Counter "yaks_materializer_bad_events_total" Count []
        "Events, or messages of a queue, that made no sense";
    DEAD_LETTERS = Counter "yaks_materializer_dead_letters_total" Count [LETTER]
        "Poison, by whether it could be sent to the dead-letter queue; what could not comes again";
    MESSAGES = Counter "yaks_materializer_messages_total" Count [MESSAGE]
        "Messages that a worker received, by what became of them";
    QUEUE_ERRORS = Counter "yaks_materializer_queue_errors_total" Count [QUEUE_OPERATION]
        "Requests of a worker that its queue did not answer well";
    ORPHANS_DELETED = Counter "yaks_orphans_deleted_total" Count [] "Orphans whose objects the sweep deleted";
    SWEPT_STREAMS = Counter "yaks_sweep_streams_total" Count [SWEPT] "Streams without a live agent that a sweep looked at";
}

/// Counts what became of an object that an event told of.
pub(crate) fn count_object(fate: Fate) {
    counter!(OBJECTS, "result" => fate.name()).increment(1);
}

/// Counts an event, or a message of a queue, that made no sense.
pub(crate) fn count_bad_event() {
    counter!(BAD_EVENTS).increment(1);
}

/// Counts a try to send poison to the dead-letter queue.
pub(crate) fn count_dead_letter(result: &'static str) {
    counter!(DEAD_LETTERS, "result" => result).increment(1);
}

/// Counts messages that a worker received, by what became of them.
pub(crate) fn count_messages(result: &'static str, messages: usize) {
    counter!(MESSAGES, "result" => result).increment(messages as u64);
}

/// Counts a request of a worker that its queue did not answer well.
pub(crate) fn count_queue_error(operation: &'static str) {
    counter!(QUEUE_ERRORS, "operation" => operation).increment(1);
}

/// Counts an orphan whose object the sweep deleted.
pub(crate) fn count_deleted_orphan() {
    counter!(ORPHANS_DELETED).increment(1);
}

/// Counts a dead stream that a sweep looked at.
pub(crate) fn count_swept(result: &'static str) {
    counter!(SWEPT_STREAMS, "result" => result).increment(1);
}
