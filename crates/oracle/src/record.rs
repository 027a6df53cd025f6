//! What a record carries: its own name, a payload nobody can guess, and a checksum over both.
//!
//! The key is the name, `topic/partition/producer/sequence`. The value is a checksum in hex, the name again, and the payload. A record
//! that was damaged, mixed up with another, or served from the wrong partition gives itself away.

use std::sync::Arc;

use rand::Rng;

/// Room that checksum and name may take in a value: 8 + 1, the longest topic (100 + 20), and three numbers.
pub(crate) const OVERHEAD_BYTES_MAX: usize = 192;

/// A partition that is written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
}

impl Target {
    pub(crate) fn new(topic: &str, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

/// One record among all that a run sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordId {
    pub(crate) target: Target,
    pub(crate) producer: u32,
    /// Counts from 0 for each producer in each partition.
    pub(crate) sequence: u64,
}

impl RecordId {
    fn name(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.target.topic, self.target.partition, self.producer, self.sequence
        )
    }
}

/// A record as it goes out.
pub(crate) struct Encoded {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) checksum: u32,
}

/// Builds the record `id` with a value of `value_bytes` bytes.
pub(crate) fn encode(id: &RecordId, value_bytes: usize, rng: &mut impl Rng) -> Encoded {
    let key = id.name();
    let mut value = format!("{:8}/{key}/", "").into_bytes();
    let payload_from = value.len();
    value.resize(value_bytes.max(payload_from), 0);
    rng.fill(&mut value[payload_from..]);
    let checksum = crc32c::crc32c(&value[CHECKSUM_BYTES..]);
    value[..CHECKSUM_BYTES].copy_from_slice(checksum_text(checksum).as_bytes());
    Encoded { key, value, checksum }
}

/// What a record that was read says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Producer and sequence; `None` when the record does not belong where it was found, or is not ours at all.
    pub(crate) from: Option<(u32, u64)>,
    /// The checksum over what is there; `None` when it is not the one the record was given, or key and value do not belong together.
    pub(crate) checksum: Option<u32>,
}

/// Reads a record found in `target`.
pub(crate) fn decode(target: &Target, key: &[u8], value: &[u8]) -> Decoded {
    Decoded {
        from: producer_and_sequence(target, key),
        checksum: intact_checksum(key, value),
    }
}

const CHECKSUM_BYTES: usize = 8;

fn checksum_text(checksum: u32) -> String {
    format!("{checksum:08x}")
}

fn producer_and_sequence(target: &Target, key: &[u8]) -> Option<(u32, u64)> {
    let mut parts = std::str::from_utf8(key).ok()?.split('/');
    let found_where_it_was_sent = parts.next()? == &*target.topic && parts.next()?.parse() == Ok(target.partition);
    let from = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (found_where_it_was_sent && parts.next().is_none()).then_some(from)
}

fn intact_checksum(key: &[u8], value: &[u8]) -> Option<u32> {
    let (claimed, rest) = value.split_at_checked(CHECKSUM_BYTES)?;
    let checksum = crc32c::crc32c(rest);
    let named = rest.strip_prefix(b"/")?.strip_prefix(key)?.starts_with(b"/");
    (named && claimed == checksum_text(checksum).as_bytes()).then_some(checksum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn id() -> RecordId {
        RecordId {
            target: Target::new("oracle-x-0", 2),
            producer: 7,
            sequence: 113,
        }
    }

    #[test]
    fn a_record_comes_back_as_itself() {
        let sent = encode(&id(), 512, &mut StdRng::seed_from_u64(1));
        assert_eq!(sent.value.len(), 512);
        assert_eq!(
            decode(&id().target, sent.key.as_bytes(), &sent.value),
            Decoded {
                from: Some((7, 113)),
                checksum: Some(sent.checksum)
            }
        );
    }

    #[test]
    fn a_record_in_the_wrong_partition_has_no_sender() {
        let sent = encode(&id(), 512, &mut StdRng::seed_from_u64(1));
        let elsewhere = Target::new("oracle-x-0", 1);
        assert_eq!(decode(&elsewhere, sent.key.as_bytes(), &sent.value).from, None);
    }

    #[test]
    fn a_key_with_another_records_value_is_not_intact() {
        let mut rng = StdRng::seed_from_u64(1);
        let sent = encode(&id(), 512, &mut rng);
        let other = encode(&RecordId { sequence: 114, ..id() }, 512, &mut rng);
        assert_eq!(decode(&id().target, sent.key.as_bytes(), &other.value).checksum, None);
    }

    #[test]
    fn the_longest_name_leaves_room_in_the_smallest_value() {
        let target = Target::new(&"t".repeat(120), i32::MAX);
        let longest = RecordId {
            target,
            producer: u32::MAX,
            sequence: u64::MAX,
        };
        assert!(CHECKSUM_BYTES + 2 + longest.name().len() <= OVERHEAD_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_noticed(at in 0usize..512, xor in 1u8..) {
            let mut sent = encode(&id(), 512, &mut StdRng::seed_from_u64(1));
            sent.value[at] ^= xor;
            let decoded = decode(&id().target, sent.key.as_bytes(), &sent.value);
            prop_assert_ne!(decoded.checksum, Some(sent.checksum));
        }

        #[test]
        fn bytes_of_others_are_never_taken_for_ours(key: Vec<u8>, value: Vec<u8>) {
            prop_assert_eq!(decode(&id().target, &key, &value).from, None);
        }
    }
}
