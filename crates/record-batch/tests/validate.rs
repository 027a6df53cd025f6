//! Batches with a sound checksum that are not acceptable all the same, one field at a time.

mod encoder;
mod samples;

use encoder::{encode, patch};
use record_batch::{BatchError, Rules, validate_single};
use samples::golden_batch;

const RULES: Rules = Rules {
    batch_bytes_max: 1_048_588,
    zstd_allowed: true,
};

fn judge_with(at: usize, field: &[u8]) -> Result<(), BatchError> {
    let mut batch = golden_batch("librdkafka-none-idempotent");
    patch(&mut batch, at, field);
    validate_single(&batch, RULES).map(|_| ())
}

fn judge_attributes(attributes: i16) -> Result<(), BatchError> {
    judge_with(21, &attributes.to_be_bytes())
}

#[test]
fn no_batch_and_two_batches_are_invalid() {
    assert!(matches!(validate_single(&[], RULES), Err(BatchError::Invalid(_))));
    let one = golden_batch("java-gzip");
    let two = [&one[..], &one].concat();
    assert!(matches!(validate_single(&two, RULES), Err(BatchError::Invalid(_))));
    let more = [&one[..], &[0]].concat();
    assert!(matches!(validate_single(&more, RULES), Err(BatchError::Invalid(_))));
}

#[test]
fn old_formats_are_named_even_when_shorter_than_our_header() {
    for magic in [0, 1, 3, -1] {
        // offset, size, CRC, magic, attributes, null key, null value: the smallest message of format 0
        let mut message = vec![0; 26];
        message[11] = 14;
        message[16] = i8::cast_unsigned(magic);
        message[18..26].fill(0xff);
        assert_eq!(
            validate_single(&message, RULES),
            Err(BatchError::UnsupportedMagic(magic))
        );
        message.extend_from_within(..);
        assert_eq!(
            validate_single(&message, RULES),
            Err(BatchError::UnsupportedMagic(magic))
        );
    }
}

#[test]
fn the_limit_is_on_the_whole_batch() {
    let batch = golden_batch("java-none");
    let with_max = |batch_bytes_max| {
        let rules = Rules {
            batch_bytes_max,
            ..RULES
        };
        validate_single(&batch, rules).map(|_| ())
    };
    assert_eq!(with_max(batch.len()), Ok(()));
    let (bytes, max) = (batch.len(), batch.len() - 1);
    assert_eq!(with_max(max), Err(BatchError::TooLarge { bytes, max }));
}

#[test]
fn nonsense_lengths_are_corrupt() {
    for length in [i32::MIN, -1, 0, 48, i32::MAX] {
        assert!(
            matches!(judge_with(8, &length.to_be_bytes()), Err(BatchError::Corrupt(_))),
            "{length}"
        );
    }
}

#[test]
fn counts_must_fit_each_other() {
    let counts = [
        (10, 10),
        (8, 10),
        (9, 9),
        (9, 11),
        (-1, 0),
        (-2, -1),
        (9, 0),
        (i32::MAX, i32::MIN),
    ];
    for (last_offset_delta, record_count) in counts {
        let mut batch = golden_batch("librdkafka-none");
        patch(&mut batch, 23, &i32::to_be_bytes(last_offset_delta));
        patch(&mut batch, 57, &i32::to_be_bytes(record_count));
        let judged = validate_single(&batch, RULES);
        assert!(
            matches!(judged, Err(BatchError::Invalid(_))),
            "{last_offset_delta} {record_count}: {judged:?}"
        );
    }
}

#[test]
fn offsets_must_count_from_zero() {
    for base_offset in [1, -1, i64::MAX] {
        assert!(matches!(
            judge_with(0, &i64::to_be_bytes(base_offset)),
            Err(BatchError::Invalid(_))
        ));
    }
}

#[test]
fn bits_that_are_not_a_clients_are_refused() {
    assert!(matches!(judge_attributes(1 << 5), Err(BatchError::Invalid(_))));
    assert!(matches!(judge_attributes(1 << 5 | 1 << 4), Err(BatchError::Invalid(_))));
    assert_eq!(judge_attributes(1 << 4), Err(BatchError::Transactional));
    assert!(matches!(judge_attributes(1 << 3), Err(BatchError::InvalidTimestamp(_))));
    assert_eq!(judge_attributes(0), Ok(()));
}

#[test]
fn a_producer_id_needs_sequence_and_epoch() {
    assert!(matches!(
        judge_with(53, &i32::to_be_bytes(-1)),
        Err(BatchError::Invalid(_))
    ));
    assert!(matches!(
        judge_with(51, &i16::to_be_bytes(-1)),
        Err(BatchError::Invalid(_))
    ));
    assert_eq!(
        judge_with(43, &i64::to_be_bytes(-1)),
        Ok(()),
        "without an id they mean nothing"
    );
}

#[test]
fn unknown_codecs_are_refused_by_number() {
    for codec in 5..8 {
        assert_eq!(judge_attributes(codec), Err(BatchError::UnsupportedCompression(codec)));
    }
}

#[test]
fn zstd_needs_a_request_version_that_knows_it() {
    let rules = Rules {
        zstd_allowed: false,
        ..RULES
    };
    for client in ["java", "librdkafka", "franz-go"] {
        let judged = validate_single(&golden_batch(&format!("{client}-zstd")), rules);
        assert_eq!(judged, Err(BatchError::UnsupportedCompression(4)));
        assert!(validate_single(&golden_batch(&format!("{client}-lz4")), rules).is_ok());
    }
}

#[test]
fn the_smallest_batch_is_taken() {
    assert!(validate_single(&encode(0, &[(0, Vec::new())]), RULES).is_ok());
    assert!(
        validate_single(&encode(-1, &[(0, Vec::new())]), RULES).is_ok(),
        "no timestamp"
    );
}
