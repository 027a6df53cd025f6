//! Every limit of the function, with its source.

use std::time::Duration;

use storage::S3Timeouts;

/// Connections to Postgres. Ours: an invocation commits a few streams at once, and a thousand concurrent invocations are
/// a thousand times as many connections.
pub const DB_POOL_SIZE_MAX: u32 = 2;

/// Streams that one invocation commits at a time. Ours: enough to overlap one's S3 with another's Postgres.
pub const STREAMS_AT_ONCE_MAX: usize = 8;

/// Footers of one stream that are read at a time. Ours: an SQS batch of ten messages in one round.
pub const FOOTERS_AT_ONCE_MAX: usize = 16;

/// Streams that one sweep looks at; the next ones have their turn in the next pass.
pub const SWEEP_STREAMS_MAX: i64 = 256;

/// Orphans that one sweep deletes; the next ones have their turn in the next pass.
pub const ORPHANS_PER_SWEEP_MAX: i64 = 256;

/// Ended streams that one sweep searches for orphans: one LIST each, and every stream is searched once.
pub const SEARCHES_PER_SWEEP_MAX: i64 = 32;

/// Time kept back from the invocation's deadline, to say what was not done.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// Time limit of an invocation that comes without one: the function's own timeout as deployed (10 s), less the margin.
pub const INVOCATION_TIME_DEFAULT: Duration = Duration::from_millis(9_500);

/// Time for the spans of an invocation to reach their collector. Ours: it stands beside the function, and an answer that waits for it
/// is a commit that its producer hears of later.
pub const TRACES_FLUSH_MAX: Duration = Duration::from_millis(300);

/// Messages that a worker takes at a time. SQS gives no more; Lambda's own batches are as large.
pub const BATCH_MESSAGES_MAX: i32 = 10;

/// How long a worker waits for messages. The most that SQS takes: every answer without a message costs as much as one with ten.
pub const LONG_POLL: Duration = Duration::from_secs(20);

/// Batches that a worker has in hand at once. Ours: one reads S3 while the other commits; whoever needs more runs more workers.
pub const WORKER_LANES: usize = 2;

/// How long SQS may take to answer, beside the wait for messages.
pub const SQS_TIMEOUT: Duration = Duration::from_secs(5);

/// Letters that are sent to the dead-letter queue at a time: Lambda's own batches are no larger.
pub const LETTERS_AT_ONCE_MAX: usize = 10;

/// Time for a letter to reach the dead-letter queue, all tries together. Ours: a way that is not there must not use up the invocation's
/// 10 s, in which its neighbours are committed.
pub const LETTER_TIMEOUT: Duration = Duration::from_secs(3);
/// Tries in that time.
pub const LETTER_TRIES: u32 = 2;

/// Length of an attribute of a letter. Ours: SQS counts attributes into the size of a message, and a person reads no more.
pub const LETTER_ATTRIBUTE_CHARS_MAX: usize = 1024;

/// Waits of a worker whose queue does not answer: the first is hardly felt, the last asks a queue that comes back three times a minute.
pub const QUEUE_PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest of these waits.
pub const QUEUE_PAUSE_MAX: Duration = Duration::from_secs(20);

/// A footer is at most 256 KiB, and the invocation as a whole has 10 s: two tries, then SQS brings it again.
pub const S3_TIMEOUTS: S3Timeouts = S3Timeouts {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    total: Duration::from_secs(4),
};
