//! Footers whose checksums hold but which are not to be believed, and those of versions to come.

#[path = "../fuzz/checks.rs"]
#[expect(dead_code, reason = "only the trailer is made here")]
mod checks;
mod samples;

use std::ops::Range;

use checks::seal;
use object_format::{Footer, FormatError, TRAILER_BYTES, decode_footer, decode_tail, encode_tail};
use samples::{batch, body_bytes, data, merged, tombstone};
use types::limits::FOOTER_BYTES_MAX;
use types::{ByteRange, Offset, PartitionIndex};

/// The bytes of a sound footer, without trailer.
fn bytes_of(footer: &Footer) -> Vec<u8> {
    let tail = encode_tail(footer).expect("a sound footer");
    tail[..tail.len() - TRAILER_BYTES].to_vec()
}

fn read(footer: &[u8]) -> Result<Footer, FormatError> {
    decode_footer(&seal(footer), 1 << 40)
}

/// A trailer with one field overwritten and its own checksum put right.
fn with_trailer_field(at: Range<usize>, value: &[u8]) -> Vec<u8> {
    let mut tail = encode_tail(&tombstone()).expect("a sound footer").to_vec();
    let trailer = tail.len() - TRAILER_BYTES;
    tail[trailer..][at].copy_from_slice(value);
    let crc = crc32c::crc32c(&tail[trailer..trailer + 12]);
    tail[trailer + 12..trailer + 16].copy_from_slice(&crc.to_be_bytes());
    tail
}

#[test]
fn a_higher_format_version_is_newer() {
    let tail = with_trailer_field(8..10, &[0, 2]);
    assert_eq!(
        decode_footer(&tail, 0),
        Err(FormatError::Newer("format version 2".to_owned()))
    );
    assert!(matches!(
        decode_footer(&with_trailer_field(8..10, &[0, 0]), 0),
        Err(FormatError::Invalid(_))
    ));
    assert!(matches!(
        decode_footer(&with_trailer_field(10..12, &[0, 1]), 0),
        Err(FormatError::Invalid(_))
    ));
}

#[test]
fn an_unknown_required_feature_is_newer_whatever_follows_it() {
    let newer = Err(FormatError::Newer("required features 0x4".to_owned()));
    assert_eq!(read(&[4]), newer);
    let mut footer = data();
    footer.required_features = 4;
    assert_eq!(read(&bytes_of(&footer)), newer);
}

#[test]
fn an_unknown_kind_is_newer() {
    let mut footer = bytes_of(&tombstone());
    footer[2] = 3;
    assert_eq!(read(&footer), Err(FormatError::Newer("object kind 3".to_owned())));
}

#[test]
fn a_footer_over_the_limit_is_refused_before_it_is_read() {
    let tail = with_trailer_field(0..4, &u32::MAX.to_be_bytes());
    let too_large = FormatError::TooLarge {
        bytes: u64::from(u32::MAX),
        max: FOOTER_BYTES_MAX as u64,
    };
    assert_eq!(decode_tail(&tail, u64::MAX), Err(too_large));
}

#[test]
fn a_footer_longer_than_the_object_is_truncated() {
    let tail = with_trailer_field(0..4, &1000u32.to_be_bytes());
    let have = tail.len() as u64;
    assert_eq!(
        decode_tail(&tail, have),
        Err(FormatError::Truncated { need: 1024, have })
    );
}

#[test]
fn somebody_elses_files_are_foreign() {
    for file in [
        &b"PAR1 a parquet file that ends in its magic PAR1"[..],
        &[0; 100],
        &[0xff; 4096],
    ] {
        assert_eq!(decode_tail(file, file.len() as u64), Err(FormatError::Foreign));
    }
}

#[test]
fn bytes_around_the_footer_are_invalid() {
    let mut longer = bytes_of(&data());
    longer.push(0);
    assert!(matches!(read(&longer), Err(FormatError::Invalid(_))));
    let tail = encode_tail(&data()).unwrap();
    let early = [&[0], &tail[..]].concat();
    assert!(matches!(decode_footer(&early, u64::MAX), Err(FormatError::Invalid(_))));
    assert!(matches!(decode_tail(&tail, 10), Err(FormatError::Invalid(_))));
}

#[test]
fn every_cut_within_the_footer_is_invalid() {
    for footer in [data(), merged(), tombstone()] {
        let bytes = bytes_of(&footer);
        for len in 0..bytes.len() {
            assert!(
                matches!(read(&bytes[..len]), Err(FormatError::Invalid(_))),
                "{len} bytes"
            );
        }
    }
}

#[test]
fn batches_beyond_the_body_are_invalid() {
    let footer = data();
    let (tail, body) = (encode_tail(&footer).unwrap(), body_bytes(&footer));
    assert_eq!(decode_footer(&tail, body), Ok(footer));
    assert!(matches!(decode_footer(&tail, body - 1), Err(FormatError::Invalid(_))));
}

#[test]
fn an_illegal_topic_name_is_invalid() {
    let mut footer = bytes_of(&data());
    let at = footer.windows(6).position(|name| name == b"orders").unwrap();
    for illegal in [b' ', 0xff, 0] {
        footer[at] = illegal;
        assert!(matches!(read(&footer), Err(FormatError::Invalid(_))));
    }
}

#[test]
fn tags_out_of_order_are_invalid() {
    let mut footer = bytes_of(&tombstone());
    assert_eq!(footer.pop(), Some(0), "a tombstone has no tags");
    let two_tags = |first, second| [&footer[..], &[2, first, 0, second, 0]].concat();
    assert!(read(&two_tags(3, 4)).is_ok());
    assert!(matches!(read(&two_tags(4, 3)), Err(FormatError::Invalid(_))));
    assert!(matches!(read(&two_tags(4, 4)), Err(FormatError::Invalid(_))));
}

#[test]
fn contradictions_are_never_written() {
    type Spoil = fn(&mut Footer);
    let spoils: [(&str, Spoil); 15] = [
        ("topic index", |f| f.batches[0].topic = 2),
        ("negative partition", |f| f.batches[0].partition = PartitionIndex(-1)),
        ("overlap", |f| f.batches[1].range.start -= 1),
        ("order", |f| f.batches.swap(0, 1)),
        ("empty range", |f| f.batches[1].range.end = f.batches[1].range.start),
        ("backward range", |f| {
            f.batches[2].range = ByteRange { start: 170, end: 169 }
        }),
        ("no records", |f| f.batches[0].record_count = 0),
        ("negative records", |f| f.batches[0].record_count = -1),
        ("negative delta", |f| f.batches[0].last_offset_delta = -1),
        ("more records than offsets", |f| f.batches[0].record_count = 11),
        ("offset in a data object", |f| f.batches[0].base_offset = Offset(0)),
        ("other unknown offset", |f| f.batches[0].base_offset = Offset(-2)),
        ("merged without offset", |f| {
            *f = Footer {
                batches: vec![batch(0, 0, 0..80)],
                ..merged()
            }
        }),
        ("merged offset overflow", |f| {
            *f = merged();
            f.batches[0].base_offset = Offset(i64::MAX - 9);
        }),
        ("tombstone with topics", |f| f.kind = object_format::Kind::Tombstone),
    ];
    for (name, spoil) in spoils {
        let mut footer = data();
        spoil(&mut footer);
        assert!(matches!(encode_tail(&footer), Err(FormatError::Invalid(_))), "{name}");
    }
}

/// Numbers of the first batch, each set to a value the field cannot hold.
#[test]
fn numbers_that_do_not_fit_their_field_are_invalid() {
    let mut footer = data();
    footer.batches = vec![batch(0, 0, 0..80)];
    footer.tags.clear();
    let bytes = bytes_of(&footer);
    // The batch's entry: topic, partition, gap, length, CRC (4 bytes), attributes, count, delta, base timestamp (6 bytes),
    // then six of one byte.
    let entry = bytes.len() - 1 - 23;
    assert_eq!(bytes[entry..entry + 5], [0, 0, 0, 80, 0xde]);
    let fields = [0, 1, 2, 3, 8, 9, 10];
    for field in fields {
        let mut spoiled = bytes.clone();
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        spoiled.splice(entry + field..=entry + field, max);
        assert!(
            matches!(read(&spoiled), Err(FormatError::Invalid(_))),
            "field at {field}"
        );
    }
}
