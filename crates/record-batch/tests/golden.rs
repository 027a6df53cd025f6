//! The batches of real clients: taken, read, stamped, and refused once a bit of them changed.

mod samples;

use record_batch::{
    BatchError, BatchHeader, Codec, HEADER_BYTES, Rules, batches, records, stamp_log_append_time, stamp_position,
    validate_single,
};
use samples::{golden, golden_batch};
use types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// What every golden batch holds: ten records, seven milliseconds apart.
const GOLDEN_BASE_TIMESTAMP: i64 = 1_700_000_000_000;

const RULES: Rules = Rules {
    batch_bytes_max: 1_048_588,
    zstd_allowed: true,
};

#[test]
fn every_client_and_codec_is_taken() {
    for (name, batch) in golden() {
        let header = validate_single(&batch, RULES).unwrap();
        assert_eq!(header.batch_bytes, batch.len(), "{name}");
        assert_eq!((header.record_count, header.last_offset_delta), (10, 9), "{name}");
        assert_eq!(header.base_timestamp, TimestampMs(GOLDEN_BASE_TIMESTAMP), "{name}");
        assert_eq!(header.max_timestamp, TimestampMs(GOLDEN_BASE_TIMESTAMP + 63), "{name}");
        let codec = ["none", "gzip", "snappy", "lz4", "zstd"].map(|codec| name.contains(codec));
        let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let named = codec.iter().position(|named| *named).unwrap();
        assert_eq!(header.codec(), Some(codecs[named]), "{name}");
    }
}

#[test]
fn idempotent_producers_are_seen() {
    for client in ["librdkafka", "java"] {
        let header = BatchHeader::read(&golden_batch(&format!("{client}-none-idempotent"))).unwrap();
        let producer = (header.producer_id, header.producer_epoch, header.base_sequence);
        assert_eq!(producer, (ProducerId(4711), ProducerEpoch(3), Sequence(0)));
        let header = BatchHeader::read(&golden_batch(&format!("{client}-none"))).unwrap();
        let producer = (header.producer_id, header.producer_epoch, header.base_sequence);
        assert_eq!(producer, (ProducerId::NONE, ProducerEpoch(-1), Sequence(-1)));
    }
}

#[test]
fn every_record_is_found_where_and_when_it_is() {
    for (name, mut batch) in golden() {
        stamp_position(&mut batch, Offset(1 << 40), 0);
        let metas = records(&batch, 10_000).unwrap();
        assert_eq!(metas.len(), 10, "{name}");
        for (at, meta) in (0..).zip(metas) {
            assert_eq!(meta.offset, Offset((1 << 40) + at), "{name}");
            assert_eq!(meta.timestamp, TimestampMs(GOLDEN_BASE_TIMESTAMP + 7 * at), "{name}");
        }
        assert!(records(&batch, 100).is_err(), "{name}: the bound holds");
    }
}

#[test]
fn a_position_lies_outside_the_checksum() {
    for (_, original) in golden() {
        let mut batch = original.clone();
        stamp_position(&mut batch, Offset(42), 7);
        let header = BatchHeader::read(&batch).unwrap();
        assert_eq!((header.base_offset, header.leader_epoch), (Offset(42), 7));
        assert_eq!(batch[16..], original[16..]);
        stamp_position(&mut batch, Offset(0), 0);
        assert!(validate_single(&batch, RULES).is_ok());
    }
}

#[test]
fn log_append_time_holds_for_every_record() {
    for (name, original) in golden() {
        let mut batch = original.clone();
        stamp_log_append_time(&mut batch, TimestampMs(1234));
        let header = BatchHeader::read(&batch).unwrap();
        assert!(header.is_log_append_time());
        assert_eq!(header.max_timestamp, TimestampMs(1234));
        assert_eq!(header.crc, crc32c::crc32c(&batch[21..]), "{name}");
        assert_eq!(batch[HEADER_BYTES..], original[HEADER_BYTES..]);
        let metas = records(&batch, 10_000).unwrap();
        assert!(metas.iter().all(|meta| meta.timestamp == TimestampMs(1234)));
        // What the broker stamped, a client may not send.
        let refused = validate_single(&batch, RULES);
        assert!(matches!(refused, Err(BatchError::InvalidTimestamp(_))), "{refused:?}");
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_called_by_its_name() {
    for (name, original) in golden() {
        for bit in 0..8 * original.len() {
            let mut batch = original.clone();
            batch[bit / 8] ^= 1 << (bit % 8);
            let judged = validate_single(&batch, RULES);
            let as_expected = match (bit / 8, &judged) {
                (0..8, Err(BatchError::Invalid(_)))
                | (8..12, Err(BatchError::Corrupt(_) | BatchError::Invalid(_)))
                | (12..16, Ok(_))
                | (16, Err(BatchError::UnsupportedMagic(_))) => true,
                (at, Err(BatchError::Corrupt(_))) => at > 16,
                _ => false,
            };
            assert!(as_expected, "{name} bit {bit}: {judged:?}");
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    for (name, batch) in golden() {
        for len in 1..batch.len() {
            let judged = validate_single(&batch[..len], RULES);
            assert!(
                matches!(judged, Err(BatchError::Corrupt(_))),
                "{name} {len}: {judged:?}"
            );
            assert!(records(&batch[..len], 10_000).is_err(), "{name} {len}");
        }
    }
}

#[test]
fn batches_that_lie_end_to_end_are_walked() {
    let all = golden();
    let bytes: Vec<u8> = all.iter().flat_map(|(_, batch)| batch.clone()).collect();
    let mut start = 0;
    let mut walked = 0;
    for (found, (_, batch)) in batches(&bytes).zip(&all) {
        let (at, header) = found.unwrap();
        assert_eq!((at, header.batch_bytes), (start, batch.len()));
        start += batch.len();
        walked += 1;
    }
    assert_eq!((walked, start), (all.len(), bytes.len()));
    assert_eq!(batches(&[]).count(), 0);
}

#[test]
fn a_walk_ends_at_the_batch_that_is_cut_off() {
    let one = golden_batch("java-none");
    let bytes = [&one[..], &one[..one.len() - 1]].concat();
    let found: Vec<_> = batches(&bytes).collect();
    assert_eq!(found.len(), 2);
    assert!(found[0].is_ok());
    assert!(matches!(found[1], Err(BatchError::Corrupt(_))));
}
