//! What a produce request may carry, as Kafka's `ProduceRequest.validateRecords` and `LogValidator` judge it.
//!
//! The order matters: the outline (magic, lengths, size) says which bytes are the batch, then the CRC says that they are
//! as the producer made them, and only then their fields are judged. The other way round a flipped bit would pass for the
//! producer's own fault, which clients do not retry. Records are not decompressed here.

use crate::header::{ATTRIBUTES_AT, CUT_OFF};
use crate::{BatchError, BatchHeader, Codec};

/// What the topic and the request version allow.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Largest whole batch.
    pub batch_bytes_max: usize,
    /// Produce 7 and up.
    pub zstd_allowed: bool,
}

/// Checks that `bytes` is exactly one acceptable batch (CRC included) and returns its header.
pub fn validate_single(bytes: &[u8], rules: Rules) -> Result<BatchHeader, BatchError> {
    let header = outline(bytes, rules.batch_bytes_max)?;
    if !crc_holds(bytes, &header) {
        return Err(BatchError::Corrupt("checksum mismatch"));
    }
    check_codec(&header, rules)?;
    check_kind(&header)?;
    check_counts(&header)?;
    check_producer(&header)?;
    Ok(header)
}

/// One batch, whole, nothing after it, within the limit.
fn outline(bytes: &[u8], batch_bytes_max: usize) -> Result<BatchHeader, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::Invalid("no batch"));
    }
    let header = BatchHeader::read(bytes)?;
    let batch_bytes = header.batch_bytes;
    if batch_bytes > bytes.len() {
        return Err(CUT_OFF);
    }
    if batch_bytes < bytes.len() {
        return Err(BatchError::Invalid("more than one batch"));
    }
    if batch_bytes > batch_bytes_max {
        return Err(BatchError::TooLarge {
            bytes: batch_bytes,
            max: batch_bytes_max,
        });
    }
    Ok(header)
}

/// Whether `batch`, one whole batch, has the CRC-32C that its header claims.
pub fn crc_holds(batch: &[u8], header: &BatchHeader) -> bool {
    crc32c::crc32c(&batch[ATTRIBUTES_AT..]) == header.crc
}

fn check_codec(header: &BatchHeader, rules: Rules) -> Result<(), BatchError> {
    match header.codec() {
        None => Err(BatchError::UnsupportedCompression(header.codec_id())),
        Some(Codec::Zstd) if !rules.zstd_allowed => Err(BatchError::UnsupportedCompression(header.codec_id())),
        Some(Codec::None | Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd) => Ok(()),
    }
}

fn check_kind(header: &BatchHeader) -> Result<(), BatchError> {
    if header.is_control() {
        return Err(BatchError::Invalid("a client may not write control batches"));
    }
    if header.is_transactional() {
        return Err(BatchError::Transactional);
    }
    if header.is_log_append_time() {
        return Err(BatchError::InvalidTimestamp("a client may not set log append time"));
    }
    Ok(())
}

fn check_counts(header: &BatchHeader) -> Result<(), BatchError> {
    if header.record_count <= 0 {
        return Err(BatchError::Invalid("no records"));
    }
    if i64::from(header.record_count) != header.offset_span() {
        return Err(BatchError::Invalid("record count does not fit the last offset delta"));
    }
    // Kafka's UnifiedLog asks the same of clients: the offsets in a batch count from 0.
    if header.base_offset.0 != 0 {
        return Err(BatchError::Invalid("base offset is not 0"));
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    if header.producer_id.is_some() && header.base_sequence.0 < 0 {
        return Err(BatchError::Invalid("negative sequence with a producer id"));
    }
    if header.producer_id.is_some() && header.producer_epoch.0 < 0 {
        return Err(BatchError::Invalid("negative epoch with a producer id"));
    }
    Ok(())
}
