//! What must hold for any bytes. The fuzz targets call these; `tests/fuzz_corpus.rs` runs them over the corpus on stable.

use record_batch::{Rules, batches, records, stamp_log_append_time, stamp_position, validate_single};
use types::{Offset, TimestampMs};

const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;

/// Any bytes as what a produce request carries, and as what an object holds.
pub(crate) fn validate(data: &[u8]) {
    let rules = Rules {
        batch_bytes_max: 1 << 16,
        zstd_allowed: true,
    };
    let whole: usize = batches(data).flatten().map(|(_, header)| header.batch_bytes).sum();
    assert!(whole <= data.len());
    if let Ok(header) = validate_single(data, rules) {
        assert_eq!(header.batch_bytes, data.len());
        stamped_it_is_still_a_batch(data);
    }
}

/// Any bytes as a batch to be read; the checksum is not looked at.
pub(crate) fn records_of(data: &[u8]) {
    if let Ok(metas) = records(data, DECOMPRESSED_BYTES_MAX) {
        assert!(metas.len() <= DECOMPRESSED_BYTES_MAX);
        assert!(metas.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    }
}

fn stamped_it_is_still_a_batch(data: &[u8]) {
    let mut batch = data.to_vec();
    stamp_log_append_time(&mut batch, TimestampMs(1));
    stamp_position(&mut batch, Offset(i64::MAX), 0);
    let (_, header) = batches(&batch)
        .next()
        .expect("there was a batch")
        .expect("it was sound");
    assert_eq!(header.crc, crc32c::crc32c(&batch[21..]));
}
