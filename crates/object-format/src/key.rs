//! Slot <-> S3 key. A slot has exactly one key and a key names at most one slot: the conditional PUT that decides a
//! slot rests on it, so [`parse_slot_key`] takes nothing but what [`slot_key`] makes.

use types::{ObjectKey, Slot, SlotSeq, StreamId};
use uuid::Uuid;

/// Only slots lie under this prefix; it is the S3 event filter.
pub const DATA_PREFIX: &str = "data/";

/// The format's version in the key: a later layout of keys gets its own.
const VERSION: &str = "v1";

/// Why a key names no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a slot key: {0}")]
pub struct KeyError(pub String);

/// `data/v1/<shard>/<stream>/<seq in 20 digits>`.
pub fn slot_key(slot: Slot) -> ObjectKey {
    ObjectKey::new(format!("{}{:020}", stream_prefix(slot.stream), slot.seq.0))
}

/// `data/v1/<shard>/<stream>/`: one LIST of it shows one stream.
pub fn stream_prefix(stream: StreamId) -> String {
    let shard = shard(stream);
    format!("{DATA_PREFIX}{VERSION}/{shard:02x}/{}/", stream.0.as_hyphenated())
}

/// The slot a key names; the key must be exactly the one `slot_key` makes.
pub fn parse_slot_key(key: &str) -> Result<Slot, KeyError> {
    parse_loosely(key)
        // Signs, upper case, braces, a wrong shard: made again, such a key looks different.
        .filter(|slot| slot_key(*slot).as_str() == key)
        .ok_or_else(|| KeyError(key.to_owned()))
}

fn parse_loosely(key: &str) -> Option<Slot> {
    let mut parts = key.rsplit('/');
    let seq = SlotSeq(parts.next()?.parse().ok()?);
    let stream = StreamId(Uuid::try_parse(parts.next()?).ok()?);
    Some(Slot { stream, seq })
}

/// Spreads streams over S3's partitions: FNV-1a over the id's bytes, folded to one byte. Fixed for ever, since the
/// keys of objects already written depend on it.
fn shard(stream: StreamId) -> u8 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in stream.0.as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash.to_be_bytes().iter().fold(0, |folded, byte| folded ^ byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: StreamId = StreamId(Uuid::from_u128(0x0190_b5f2_7c3a_7def_8123_4567_89ab_cdef));

    fn key(seq: u64) -> String {
        let slot = Slot {
            stream: STREAM,
            seq: SlotSeq(seq),
        };
        slot_key(slot).as_str().to_owned()
    }

    #[test]
    fn keys_never_change() {
        assert_eq!(
            key(42),
            "data/v1/d5/0190b5f2-7c3a-7def-8123-456789abcdef/00000000000000000042"
        );
        assert!(key(u64::MAX).ends_with("/18446744073709551615"));
    }

    #[test]
    fn only_the_exact_key_names_a_slot() {
        let good = key(7);
        assert!(parse_slot_key(&good).is_ok());
        let wrong = [
            String::new(),
            "/".to_owned(),
            "data/".to_owned(),
            stream_prefix(STREAM),
            good.replace("v1", "v2"),
            good.replace("data", "Data"),
            good.replace("0190b5f2", "0190B5F2"),
            good.replace('-', ""),
            good.replace("/0000", "/+000"),
            good.replace("/0000", "/000"),
            good.replace("/0000", "/00000"),
            format!("/{good}"),
            format!("{good}/"),
            format!("{good} "),
            format!("x/{good}"),
            key(7).replacen("/0", "/f", 1),
        ];
        for key in wrong {
            assert_eq!(parse_slot_key(&key), Err(KeyError(key.clone())), "{key:?}");
        }
    }

    #[test]
    fn streams_spread_over_all_shards() {
        let mut streams_of_shard = [0u32; 256];
        for n in 0..25_600u128 {
            // As UUIDv7s drawn one after the other: a common head, a running number.
            let stream = StreamId(Uuid::from_u128(STREAM.0.as_u128() + (n << 40) + n * 977));
            streams_of_shard[usize::from(shard(stream))] += 1;
        }
        let (least, most) = (streams_of_shard.iter().min(), streams_of_shard.iter().max());
        assert!(least >= Some(&40) && most <= Some(&200), "{least:?} to {most:?} of 100");
    }

    proptest! {
        #[test]
        fn a_key_leads_back_to_its_slot(stream: u128, seq: u64) {
            let slot = Slot { stream: StreamId(Uuid::from_u128(stream)), seq: SlotSeq(seq) };
            prop_assert_eq!(parse_slot_key(slot_key(slot).as_str()), Ok(slot));
        }

        #[test]
        fn any_text_is_judged_without_panic(key in ".{0,120}") {
            prop_assert!(parse_slot_key(&key).is_err());
        }
    }
}
