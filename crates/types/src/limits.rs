//! Every limit of yaks, each with its source: a Kafka default, an AWS quota, or our own choice.

/// Longest topic name (Kafka: `Topic.MAX_NAME_LENGTH`).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Largest request frame (Kafka: `socket.request.max.bytes`).
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Largest record batch a topic takes (Kafka: `max.message.bytes`, 1 MiB plus the log overhead of 12 bytes).
pub const BATCH_BYTES_MAX: usize = 1_048_588;

/// Largest footer. Ours: one suffix-range GET always suffices, and it fits a Lambda invocation (6 MB) several times.
pub const FOOTER_BYTES_MAX: usize = 256 * 1024;

/// Most slots whose footers one commit fetches at a time to close a hole. Ours (docs/ARCHITECTURE.md).
pub const MISSING_FOOTERS_MAX: usize = 16;

/// Batches a partition remembers of a producer (Kafka: `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;

/// How long a producer id is remembered without a write, in ms (Kafka: `producer.id.expiration.ms`, 1 day).
pub const PRODUCER_ID_EXPIRY_MS: i64 = 86_400_000;

/// Most partitions one topic may have. Ours: bounds what one CreateTopics can write.
pub const PARTITIONS_PER_TOPIC_MAX: i32 = 10_000;

/// Partitions of an auto-created topic, or one created with -1 (Kafka: `num.partitions`).
pub const PARTITIONS_DEFAULT: i32 = 1;

/// Idle connections are closed after this many ms (Kafka: `connections.max.idle.ms`).
pub const CONNECTION_IDLE_MS: u64 = 600_000;

/// TCP keepalive in seconds: an NLB forgets a silent connection after 350 s (AWS, "Network Load Balancers").
pub const TCP_KEEPALIVE_S: u64 = 60;

/// Longest consumer group id. Ours: it is part of a Postgres index, whose entries may not exceed a third of a page (2704
/// bytes).
pub const GROUP_ID_BYTES_MAX: usize = 2048;

/// Longest metadata of a committed offset (Kafka: `offset.metadata.max.bytes`).
pub const OFFSET_METADATA_BYTES_MAX: usize = 4096;

/// Fetch sessions of one agent (Kafka: `max.incremental.fetch.session.cache.slots`).
pub const FETCH_SESSIONS_MAX: usize = 1000;

/// Partitions in all of them. Ours: each takes some 200 bytes, and a client may name as many as it likes.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 250_000;

/// A member of the consumer protocol that is silent for so many ms is out (Kafka: `group.consumer.session.timeout.ms`).
pub const CONSUMER_SESSION_TIMEOUT_MS: u64 = 45_000;

/// How often members of the consumer protocol are told to report, in ms (Kafka: `group.consumer.heartbeat.interval.ms`).
pub const CONSUMER_HEARTBEAT_INTERVAL_MS: u64 = 5_000;

/// Most members of a group of the consumer protocol (Kafka: `group.consumer.max.size`, which has no bound). Ours: the group
/// is one row, written anew with every change; 1,000 members take about half a megabyte.
pub const CONSUMER_GROUP_MEMBERS_MAX: usize = 2_000;

/// How often a group looks whether its topics changed, in ms. Ours: as often as an agent renews what it knows of them.
pub const GROUP_TOPICS_CHECK_MS: u64 = 1_000;

/// How often a group matches its regular expressions anew, in ms (Kafka: `GroupMetadataManager.REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
pub const GROUP_PATTERN_REFRESH_MS: u64 = 10_000;
