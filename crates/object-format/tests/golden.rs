//! One object of each kind, as version 1 wrote it once: every later build must write and read the same bytes.

mod samples;

use object_format::{Footer, FormatError, TRAILER_BYTES, decode_footer, decode_tail, encode_tail, tail_of};
use samples::body_bytes;

/// A footer and the object it was written into.
struct Golden {
    name: &'static str,
    footer: fn() -> Footer,
    object: &'static [u8],
}

const GOLDEN: [Golden; 3] = [
    Golden {
        name: "data",
        footer: samples::data,
        object: include_bytes!("../golden/v1/data.object"),
    },
    Golden {
        name: "tombstone",
        footer: samples::tombstone,
        object: include_bytes!("../golden/v1/tombstone.object"),
    },
    Golden {
        name: "merged",
        footer: samples::merged,
        object: include_bytes!("../golden/v1/merged.object"),
    },
];

#[test]
fn footers_are_written_byte_for_byte_as_ever() {
    for sample in GOLDEN {
        let tail = encode_tail(&(sample.footer)()).unwrap();
        let start = sample.object.len() - tail.len();
        assert!(tail == sample.object[start..], "{}: the bytes changed", sample.name);
        assert_eq!(start as u64, body_bytes(&(sample.footer)()), "{}", sample.name);
    }
}

#[test]
fn old_objects_read_as_ever() {
    for sample in GOLDEN {
        let footer = (sample.footer)();
        let object_bytes = sample.object.len() as u64;
        assert_eq!(
            decode_tail(sample.object, object_bytes),
            Ok(footer.clone()),
            "{}",
            sample.name
        );
        let body = usize::try_from(body_bytes(&footer)).unwrap();
        let tail = &sample.object[body..];
        assert_eq!(decode_tail(tail, object_bytes), Ok(footer.clone()), "{}", sample.name);
        assert_eq!(tail_of(sample.object), Ok(tail), "{}", sample.name);
        assert_eq!(decode_footer(tail, body as u64), Ok(footer), "{}", sample.name);
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_called_by_its_name() {
    for sample in GOLDEN {
        let footer = (sample.footer)();
        let body = usize::try_from(body_bytes(&footer)).unwrap();
        let magic = sample.object.len() - 8;
        for bit in 0..8 * sample.object.len() {
            let mut object = sample.object.to_vec();
            object[bit / 8] ^= 1 << (bit % 8);
            let read = decode_tail(&object, object.len() as u64);
            match bit / 8 {
                // The batches have checksums of their own.
                at if at < body => assert_eq!(read, Ok(footer.clone())),
                at if at < magic => assert!(matches!(read, Err(FormatError::Damaged { .. })), "byte {at}: {read:?}"),
                at => assert_eq!(read, Err(FormatError::Foreign), "byte {at}"),
            }
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    for sample in GOLDEN {
        let footer = (sample.footer)();
        let body = usize::try_from(body_bytes(&footer)).unwrap();
        let object_bytes = sample.object.len();
        for start in 0..object_bytes {
            let read = decode_tail(&sample.object[start..], object_bytes as u64);
            if start <= body {
                assert_eq!(read, Ok(footer.clone()));
            } else {
                assert!(
                    matches!(read, Err(FormatError::Truncated { .. })),
                    "from {start}: {read:?}"
                );
            }
        }
        for end in 0..object_bytes {
            match decode_tail(&sample.object[..end], end as u64) {
                Err(FormatError::Truncated { need, have }) => {
                    assert_eq!((need, have), (TRAILER_BYTES as u64, end as u64));
                }
                read => assert_eq!(read, Err(FormatError::Foreign), "to {end}"),
            }
        }
    }
}
