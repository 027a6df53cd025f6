//! The first record at or after a time, among the batches of one index row. Pure.

use record_batch::{RecordMeta, RecordsError, batches, records};
use types::{Offset, TimestampMs};

/// Most bytes one batch may decompress to here: forty times the default of the largest batch.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Looks through `bytes`, whole batches whose first offset is `base_offset`. `None`: all records are older.
pub fn first_at_or_after(
    bytes: &[u8],
    base_offset: Offset,
    timestamp: TimestampMs,
) -> Result<Option<RecordMeta>, RecordsError> {
    let mut offset = base_offset;
    for batch in batches(bytes) {
        let (start, header) = batch.map_err(|_| RecordsError("a batch is cut off or damaged"))?;
        if header.max_timestamp >= timestamp {
            let all = records(&bytes[start..start + header.batch_bytes], DECOMPRESSED_BYTES_MAX)?;
            // Offsets in the stored bytes are the producer's: only their distance to the first counts.
            let first = header.base_offset;
            let found = all.into_iter().find(|record| record.timestamp >= timestamp);
            if let Some(record) = found {
                let offset = Offset(offset.0 + record.offset.0 - first.0);
                return Ok(Some(RecordMeta {
                    offset,
                    timestamp: record.timestamp,
                }));
            }
        }
        offset = Offset(offset.0 + header.offset_span());
    }
    Ok(None)
}
