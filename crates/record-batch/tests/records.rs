//! Records: what was encoded is found, and nothing is believed that does not fit.

mod encoder;
mod samples;

use encoder::{encode, patch};
use proptest::collection::vec;
use proptest::prelude::*;
use record_batch::{BatchError, RecordsError, Rules, batches, records, validate_single};
use samples::{golden, golden_batch};
use types::{Offset, TimestampMs};

/// Past the header of `encode(0, ..)`: one record of attributes, two deltas, null key, empty value, no headers.
const RECORD: [u8; 7] = [12, 0, 0, 0, 1, 0, 0];

fn read_spoiled(record: &[u8]) -> Result<usize, RecordsError> {
    let mut batch = encode(0, &[(0, Vec::new())]);
    assert_eq!(batch[61..], RECORD);
    batch.truncate(61);
    batch.extend_from_slice(record);
    let length = i32::try_from(batch.len() - 12).expect("a small batch");
    patch(&mut batch, 8, &length.to_be_bytes());
    records(&batch, 1000).map(|metas| metas.len())
}

#[test]
fn spoiled_records_are_refused() {
    assert_eq!(read_spoiled(&RECORD), Ok(1));
    let spoiled: [(&str, &[u8]); 12] = [
        ("no record", &[]),
        ("length too small", &[10, 0, 0, 0, 1, 0, 0]),
        ("length too large", &[14, 0, 0, 0, 1, 0, 0]),
        ("negative length", &[11, 0, 0, 0, 1, 0, 0]),
        ("longer than its fields", &[14, 0, 0, 0, 1, 0, 0, 0]),
        ("a second record", &[12, 0, 0, 0, 1, 0, 0, 12, 0, 0, 0, 1, 0, 0]),
        ("offset before the batch", &[12, 0, 0, 1, 1, 0, 0]),
        ("offset after the batch", &[12, 0, 0, 2, 1, 0, 0]),
        ("key length -2", &[12, 0, 0, 0, 3, 0, 0]),
        ("value beyond the record", &[12, 0, 0, 0, 1, 2, 0]),
        ("negative header count", &[12, 0, 0, 0, 1, 0, 1]),
        ("headers that are not there", &[12, 0, 0, 0, 1, 0, 126]),
    ];
    for (name, record) in spoiled {
        assert!(read_spoiled(record).is_err(), "{name}");
    }
    assert!(read_spoiled(&[0x80; 40]).is_err(), "a varint without end");
}

#[test]
fn a_count_that_lies_takes_no_memory() {
    let mut batch = golden_batch("java-zstd");
    for count in [i32::MAX, -1, 11, 9, 0] {
        patch(&mut batch, 57, &count.to_be_bytes());
        assert!(records(&batch, 1 << 20).is_err(), "{count}");
    }
}

#[test]
fn offsets_that_do_not_ascend_are_refused() {
    let mut batch = encode(0, &[(0, Vec::new()), (0, Vec::new())]);
    assert_eq!(records(&batch, 1000).unwrap().len(), 2);
    batch[61 + 7 + 3] = 0;
    assert!(records(&batch, 1000).is_err());
}

#[test]
fn numbers_beyond_64_bits_are_refused() {
    let mut batch = encode(i64::MAX, &[(1, Vec::new())]);
    assert!(records(&batch, 1000).is_err(), "timestamp");
    batch = encode(0, &[(0, Vec::new()), (0, Vec::new())]);
    batch[..8].copy_from_slice(&i64::MAX.to_be_bytes());
    assert!(records(&batch, 1000).is_err(), "offset");
}

proptest! {
    #[test]
    fn encoded_records_are_found(
        base in 0..=i64::MAX / 2,
        encoded in vec((-1000i64..i64::MAX / 4, vec(any::<u8>(), 0..300)), 1..40),
    ) {
        let batch = encode(base, &encoded);
        let rules = Rules { batch_bytes_max: batch.len(), zstd_allowed: false };
        prop_assert!(validate_single(&batch, rules).is_ok());
        let metas = records(&batch, batch.len()).unwrap();
        prop_assert_eq!(metas.len(), encoded.len());
        for ((at, meta), (delta, _)) in (0..).zip(metas).zip(encoded) {
            prop_assert_eq!((meta.offset, meta.timestamp), (Offset(at), TimestampMs(base + delta)));
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in vec(any::<u8>(), 1..300)) {
        let rules = Rules { batch_bytes_max: 200, zstd_allowed: true };
        prop_assert!(validate_single(&bytes, rules).is_err());
        prop_assert!(records(&bytes, 1000).is_err());
        prop_assert!(batches(&bytes).count() <= bytes.len());
    }

    /// The codecs see what a batch of a real client could turn into: several bytes wrong, the header sound.
    #[test]
    fn a_spoiled_payload_stays_within_the_bound(
        which: prop::sample::Index,
        spoils in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: prop::sample::Index,
    ) {
        let golden = golden();
        let mut batch = which.get(&golden).1.clone();
        for (at, byte) in spoils {
            let at = 61 + at.index(batch.len() - 61);
            batch[at] = byte;
        }
        batch.truncate(61 + cut.index(batch.len() - 61) + 1);
        let length = i32::try_from(batch.len() - 12).unwrap();
        patch(&mut batch, 8, &length.to_be_bytes());
        if let Ok(metas) = records(&batch, 1500) {
            prop_assert_eq!(metas.len(), 10);
        }
        let rules = Rules { batch_bytes_max: 10_000, zstd_allowed: true };
        let judged = validate_single(&batch, rules);
        prop_assert!(!matches!(judged, Err(BatchError::Corrupt(_))), "the checksum was put right: {:?}", judged);
    }
}
