//! The bytes of one object: every batch that its footer names, read in pieces of bounded size and checked against its own
//! checksum and against the footer.

use bytes::Bytes;
use object_format::{Footer, FooterBatch};
use record_batch::BatchHeader;
use storage::{GetRange, Got, StorageError, StorageErrorKind};
use tokio::time::sleep;
use types::{ByteRange, ObjectKey};

use super::{Audit, AuditError, Finding, FindingKind};

/// Most bytes of one request, unless a single batch is larger.
const PIECE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Tries of one request while S3 says "not now".
const TRIES: u32 = 4;
const RETRY_WAIT: std::time::Duration = std::time::Duration::from_millis(200);
/// Where the part of a batch begins that its checksum covers (Kafka's `DefaultRecordBatch`).
const CHECKED_FROM: usize = 21;

impl Audit {
    /// A GET; `None`: there is no such object.
    pub(super) async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Option<Got>, StorageError> {
        let mut wait = RETRY_WAIT;
        for _ in 1..TRIES {
            match self.store.get(key, range).await {
                Err(error) if error.is_retriable() => sleep(wait).await,
                done => return self.count(done),
            }
            wait *= 2;
        }
        self.count(self.store.get(key, range).await)
    }

    fn count(&self, got: Result<Got, StorageError>) -> Result<Option<Got>, StorageError> {
        match got {
            Ok(got) => {
                let bytes = got.bytes.len() as u64;
                self.bytes_read.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
                Ok(Some(got))
            }
            Err(error) if error.kind == StorageErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks every batch of `footer`; `tail` is what was read of the object's end. `None`: the object is gone.
    pub(super) async fn look_into(
        &self,
        key: &ObjectKey,
        footer: &Footer,
        tail: &Got,
    ) -> Result<Option<Vec<Finding>>, AuditError> {
        let mut findings = Vec::new();
        for piece in pieces(&footer.batches, tail.range.start) {
            let range = ByteRange {
                start: piece[0].range.start,
                end: piece[piece.len() - 1].range.end,
            };
            let (bytes, start) = if range.start >= tail.range.start {
                (tail.bytes.clone(), tail.range.start)
            } else {
                let Some(got) = self.get(key, GetRange::Bytes(range)).await? else {
                    return Ok(None);
                };
                (got.bytes, got.range.start)
            };
            let damaged = piece
                .iter()
                .filter_map(|batch| check(&bytes, start, batch).err().map(|why| (batch, why)));
            findings.extend(damaged.map(|(batch, why)| damaged_batch(key, footer, batch, why)));
        }
        Ok(Some(findings))
    }
}

/// Runs of batches to be read together. Batches in the tail, which is there already, are one run.
fn pieces(batches: &[FooterBatch], tail_start: u64) -> Vec<&[FooterBatch]> {
    let mut pieces = Vec::new();
    let (mut from, mut piece_start) = (0, 0);
    for (n, batch) in batches.iter().enumerate() {
        let crosses = batch.range.start >= tail_start && piece_start < tail_start;
        let full = batch.range.end - piece_start > PIECE_BYTES_MAX && piece_start < tail_start;
        if n > from && (crosses || full) {
            pieces.push(&batches[from..n]);
            from = n;
        }
        if n == from {
            piece_start = batch.range.start;
        }
    }
    if from < batches.len() {
        pieces.push(&batches[from..]);
    }
    pieces
}

/// Whether a batch is what its header and the footer say. `bytes` are those of the object from `start` on.
fn check(bytes: &Bytes, start: u64, batch: &FooterBatch) -> Result<(), String> {
    let slice = |at: u64| usize::try_from(at.checked_sub(start)?).ok();
    let found = slice(batch.range.start).zip(slice(batch.range.end));
    let found = found
        .and_then(|(from, to)| bytes.get(from..to))
        .ok_or("its bytes are not there")?;
    let header = BatchHeader::read(found).map_err(|error| error.to_string())?;
    if header.batch_bytes != found.len() {
        return Err(format!(
            "its header says {} bytes, the footer {}",
            header.batch_bytes,
            found.len()
        ));
    }
    let checksum = crc32c::crc32c(&found[CHECKED_FROM..]);
    if checksum != header.crc {
        return Err(format!(
            "checksum mismatch: its header says {:#010x}, its bytes give {checksum:#010x}",
            header.crc
        ));
    }
    if says(&header) != footer_says(batch) {
        return Err("its header and the footer disagree".to_owned());
    }
    Ok(())
}

type Said = (u32, i16, i32, i32, i64, i64, i64, i16, i32);

fn says(header: &BatchHeader) -> Said {
    (
        header.crc,
        header.attributes,
        header.record_count,
        header.last_offset_delta,
        header.base_timestamp.0,
        header.max_timestamp.0,
        header.producer_id.0,
        header.producer_epoch.0,
        header.base_sequence.0,
    )
}

fn footer_says(batch: &FooterBatch) -> Said {
    (
        batch.crc,
        batch.attributes,
        batch.record_count,
        batch.last_offset_delta,
        batch.base_timestamp.0,
        batch.max_timestamp.0,
        batch.producer_id.0,
        batch.producer_epoch.0,
        batch.base_sequence.0,
    )
}

fn damaged_batch(key: &ObjectKey, footer: &Footer, batch: &FooterBatch, why: String) -> Finding {
    let topic = &footer.topics[batch.topic as usize].name;
    Finding {
        topic: Some(topic.to_string()),
        partition: Some(batch.partition),
        ..Finding::new(FindingKind::DamagedBatch, format!("bytes {}: {why}", batch.range)).of_key(key)
    }
}
