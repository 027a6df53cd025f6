//! Records found by their time among the batches of one index row. Pure.
//!
//! A batch whose records cannot be read (payloads are not looked into when they are produced, and the bytes they may take here
//! are bounded) is taken as a whole: its first record stands for it. A reader who is sent there misses nothing.

use record_batch::{BatchHeader, RecordMeta, RecordsError, batches, crc_holds, records};
use types::{Offset, TimestampMs};

/// Most bytes one batch may decompress to here: sixty times the default of the largest batch.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Looks through `bytes`, whole batches whose first offset is `base_offset`, for the first record at or after `timestamp` and not
/// below the offset `from`. `None`: all records are older.
pub fn first_at_or_after(
    bytes: &[u8],
    base_offset: Offset,
    from: Offset,
    timestamp: TimestampMs,
) -> Result<Option<RecordMeta>, RecordsError> {
    let mut found = None;
    walk(bytes, base_offset, |batch| {
        if batch.header.max_timestamp >= timestamp {
            let mut candidates = batch.records(from).into_iter();
            found = candidates.find(|record| record.timestamp >= timestamp);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// The record with the largest timestamp, the first of several, not below the offset `from`; `best` is the one of earlier rows.
pub fn latest(
    bytes: &[u8],
    base_offset: Offset,
    from: Offset,
    best: Option<RecordMeta>,
) -> Result<Option<RecordMeta>, RecordsError> {
    let mut best = best;
    walk(bytes, base_offset, |batch| {
        let beats =
            |timestamp: TimestampMs, best: Option<RecordMeta>| best.is_none_or(|best| timestamp > best.timestamp);
        if beats(batch.header.max_timestamp, best) {
            for record in batch.records(from) {
                if beats(record.timestamp, best) {
                    best = Some(record);
                }
            }
        }
        true
    })?;
    Ok(best)
}

struct Batch<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
    /// Its real one.
    base_offset: Offset,
}

impl Batch<'_> {
    /// Its records from the offset `from` on.
    fn records(&self, from: Offset) -> Vec<RecordMeta> {
        let whole = vec![RecordMeta {
            offset: self.header.base_offset,
            timestamp: self.header.max_timestamp,
        }];
        let all = records(self.bytes, DECOMPRESSED_BYTES_MAX).unwrap_or(whole);
        // Offsets in the stored bytes are the producer's: only their distance to the first counts.
        let shift = self.base_offset.0 - self.header.base_offset.0;
        let placed = all.into_iter().map(|record| RecordMeta {
            offset: Offset(record.offset.0 + shift),
            ..record
        });
        placed.filter(|record| record.offset >= from).collect()
    }
}

/// Hands over batch by batch while `go_on` says so.
fn walk(bytes: &[u8], base_offset: Offset, mut go_on: impl FnMut(&Batch<'_>) -> bool) -> Result<(), RecordsError> {
    let mut offset = base_offset;
    for batch in batches(bytes) {
        let damaged = || RecordsError("a batch is cut off or damaged");
        let (start, header) = batch.map_err(|_| damaged())?;
        let batch = Batch {
            header,
            bytes: &bytes[start..start + header.batch_bytes],
            base_offset: offset,
        };
        if !crc_holds(batch.bytes, &batch.header) {
            return Err(damaged());
        }
        if !go_on(&batch) {
            break;
        }
        offset = Offset(offset.0 + header.offset_span());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::indexmap::IndexMap;
    use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
    use std::io::Write;

    use super::*;

    /// A batch whose records have these timestamps, gzipped.
    fn batch(timestamps: &[i64]) -> Vec<u8> {
        let record = |(offset, timestamp): (i64, &i64)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset,
            sequence: i32::try_from(offset).unwrap() - 1,
            timestamp: *timestamp,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: IndexMap::new(),
        };
        let records: Vec<Record> = (0..).zip(timestamps).map(record).collect();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::Gzip,
        };
        let gzip = |plain: &mut BytesMut, out: &mut BytesMut, _: Compression| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain)?;
            out.extend_from_slice(&encoder.finish()?);
            Ok(())
        };
        let mut bytes = BytesMut::new();
        RecordBatchEncoder::encode_with_custom_compression(&mut bytes, &records, &options, Some(gzip)).unwrap();
        bytes.to_vec()
    }

    /// Offsets 100 to 105.
    fn row() -> Vec<u8> {
        [batch(&[10, 30, 20]), batch(&[5, 30, 25])].concat()
    }

    fn found(timestamp: i64, from: i64) -> Option<(i64, i64)> {
        let found = first_at_or_after(&row(), Offset(100), Offset(from), TimestampMs(timestamp)).unwrap();
        found.map(|record| (record.offset.0, record.timestamp.0))
    }

    #[test]
    fn the_record_is_found_within_its_compressed_batch() {
        assert_eq!(found(0, 0), Some((100, 10)));
        assert_eq!(found(11, 0), Some((101, 30)));
        assert_eq!(found(31, 0), None);
    }

    #[test]
    fn records_below_the_start_of_the_log_are_passed_over() {
        assert_eq!(found(11, 102), Some((102, 20)));
        assert_eq!(found(21, 102), Some((104, 30)));
        assert_eq!(found(21, 105), Some((105, 25)));
        assert_eq!(found(21, 106), None);
    }

    #[test]
    fn the_latest_record_is_the_first_with_the_largest_timestamp() {
        let of = |from, best| latest(&row(), Offset(100), Offset(from), best).unwrap();
        let first = of(0, None).unwrap();
        assert_eq!((first.offset, first.timestamp), (Offset(101), TimestampMs(30)));
        assert_eq!(of(102, None).unwrap().offset, Offset(104));
        let earlier = RecordMeta {
            offset: Offset(7),
            timestamp: TimestampMs(30),
        };
        assert_eq!(of(0, Some(earlier)), Some(earlier));
    }

    #[test]
    fn a_batch_that_cannot_be_read_stands_as_a_whole_and_a_damaged_one_is_an_error() {
        let mut spoiled = batch(&[10, 30, 20]);
        let end = spoiled.len();
        spoiled[end - 20..].fill(0xff);
        assert!(first_at_or_after(&spoiled, Offset(100), Offset(0), TimestampMs(15)).is_err());
        let crc = crc32c::crc32c(&spoiled[21..]);
        spoiled[17..21].copy_from_slice(&crc.to_be_bytes());
        let found = first_at_or_after(&spoiled, Offset(100), Offset(0), TimestampMs(15)).unwrap();
        assert_eq!(found.map(|record| record.offset), Some(Offset(100)));
        assert!(first_at_or_after(&spoiled[..end - 1], Offset(100), Offset(0), TimestampMs(15)).is_err());
    }
}
