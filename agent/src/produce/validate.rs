//! Which batches of a Produce request may enter the buffer, and as what.

use bytes::{Bytes, BytesMut};
use metastore::TopicSettings;
use record_batch::{BatchError, BatchHeader, Rules, stamp_log_append_time, validate_single};
use types::TimestampMs;

/// First Produce version that may carry zstd (KIP-110).
const ZSTD_VERSION_MIN: i16 = 7;

/// How far ahead of the agent's clock a record may claim to be (Kafka: `message.timestamp.after.max.ms`, 1 hour since 4.0).
/// Lookups by time rely on the largest timestamp so far: one claim from the far future would spoil them for ever.
const AFTER_MAX_MS: i64 = 3_600_000;

/// What holds for all batches of one topic in one request.
#[derive(Clone, Copy, Debug)]
pub struct TopicRules {
    batch: Rules,
    log_append_time: bool,
    before_max_ms: i64,
    after_max_ms: i64,
}

/// A batch as it enters the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedBatch {
    /// Its header.
    pub header: BatchHeader,
    /// All its bytes.
    pub bytes: Bytes,
    /// The time it was stamped with, under LogAppendTime.
    pub appended_at: Option<TimestampMs>,
}

impl TopicRules {
    /// What the topic's settings and the request's version say; `batch_bytes_max` holds where the topic says nothing.
    pub fn new(settings: &TopicSettings, version: i16, batch_bytes_max: usize) -> Self {
        let set = |name: &str| settings.0.get(name).map(String::as_str);
        let number = |name: &str| set(name).and_then(|value| value.parse::<i64>().ok());
        let bytes_max = number("max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok());
        Self {
            batch: Rules {
                batch_bytes_max: bytes_max.unwrap_or(batch_bytes_max),
                zstd_allowed: version >= ZSTD_VERSION_MIN,
            },
            log_append_time: set("message.timestamp.type") == Some("LogAppendTime"),
            before_max_ms: number("message.timestamp.before.max.ms").unwrap_or(i64::MAX),
            after_max_ms: number("message.timestamp.after.max.ms").unwrap_or(AFTER_MAX_MS),
        }
    }

    /// Checks one partition's records, and stamps them if the topic wants that: the one case in which a batch is copied.
    pub fn accept(&self, records: Bytes, now: TimestampMs) -> Result<AcceptedBatch, BatchError> {
        let header = validate_single(&records, self.batch)?;
        if self.log_append_time {
            let mut stamped = BytesMut::from(records.as_ref());
            stamp_log_append_time(&mut stamped, now);
            let header = BatchHeader::read(&stamped)?;
            return Ok(AcceptedBatch {
                header,
                bytes: stamped.freeze(),
                appended_at: Some(now),
            });
        }
        if header.max_timestamp.0.saturating_sub(now.0) > self.after_max_ms {
            return Err(BatchError::InvalidTimestamp("a timestamp lies too far in the future"));
        }
        // -1: the client gave none.
        if header.base_timestamp.0 >= 0 && now.0.saturating_sub(header.base_timestamp.0) > self.before_max_ms {
            return Err(BatchError::InvalidTimestamp("a timestamp lies too far in the past"));
        }
        Ok(AcceptedBatch {
            header,
            bytes: records,
            appended_at: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_800_000_000_000);

    /// A batch of one record with this timestamp.
    fn batch(timestamp: i64) -> Bytes {
        let mut bytes = vec![0; 68];
        bytes[8..12].copy_from_slice(&56_i32.to_be_bytes());
        bytes[16] = 2;
        bytes[27..35].copy_from_slice(&timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&timestamp.to_be_bytes());
        bytes[43..57].fill(0xff);
        bytes[57..61].copy_from_slice(&1_i32.to_be_bytes());
        bytes[61..].copy_from_slice(&[12, 0, 0, 0, 1, 1, 0]);
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes.into()
    }

    fn rules(settings: &[(&str, &str)]) -> TopicRules {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        TopicRules::new(&TopicSettings(settings), 9, 1000)
    }

    #[test]
    fn a_claim_from_the_far_future_is_refused_unless_the_topic_allows_it() {
        let far = batch(NOW.0 + AFTER_MAX_MS + 1);
        assert!(matches!(
            rules(&[]).accept(far.clone(), NOW),
            Err(BatchError::InvalidTimestamp(_))
        ));
        assert!(
            rules(&[("message.timestamp.after.max.ms", "9000000")])
                .accept(far, NOW)
                .is_ok()
        );
        assert!(rules(&[]).accept(batch(NOW.0 + AFTER_MAX_MS), NOW).is_ok());
    }

    #[test]
    fn the_past_is_open_unless_the_topic_closes_it() {
        assert!(rules(&[]).accept(batch(0), NOW).is_ok());
        let closed = rules(&[("message.timestamp.before.max.ms", "1000")]);
        assert!(matches!(
            closed.accept(batch(0), NOW),
            Err(BatchError::InvalidTimestamp(_))
        ));
        assert!(closed.accept(batch(-1), NOW).is_ok());
    }

    #[test]
    fn log_append_time_is_stamped_over_what_the_client_says() {
        let accepted = rules(&[("message.timestamp.type", "LogAppendTime")])
            .accept(batch(i64::MAX), NOW)
            .unwrap();
        assert_eq!(accepted.appended_at, Some(NOW));
        assert_eq!(accepted.header.max_timestamp, NOW);
        assert!(accepted.header.is_log_append_time());
        assert_eq!(accepted.header.crc, crc32c::crc32c(&accepted.bytes[21..]));
    }

    #[test]
    fn the_topics_own_size_limit_counts() {
        let records = batch(0);
        assert!(
            rules(&[("max.message.bytes", "68")])
                .accept(records.clone(), NOW)
                .is_ok()
        );
        assert!(matches!(
            rules(&[("max.message.bytes", "67")]).accept(records, NOW),
            Err(BatchError::TooLarge { .. })
        ));
    }
}
