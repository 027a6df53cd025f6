//! Every object that has a row: it is in the bucket, its footer and its batches are sound, and what its row and the index say of
//! it follows from its footer and its outcomes.

use commit::BatchOutcome;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use metastore::{AuditedObject, RowThere, SlotReadError, decode_slot_footer};
use object_format::{Footer, Kind, TAIL_BYTES_MAX, decode_tail};
use storage::{GetRange, Got, StorageErrorKind};
use types::{ByteRange, ObjectId, Offset, PartitionIndex, TopicId};

use super::{Audit, AuditError, Finding, FindingKind, Page, Phase};

const OBJECTS_PER_PAGE: i64 = 256;

impl Audit {
    pub(super) async fn objects_page(&self, after: ObjectId, to: Option<ObjectId>) -> Result<Page, AuditError> {
        let to = match to {
            Some(to) => to,
            None => self.metastore.last_object().await?,
        };
        let objects = self.metastore.audited_objects(after, to, OBJECTS_PER_PAGE).await?;
        let next = match objects.last() {
            Some(last) if objects.len() as i64 == OBJECTS_PER_PAGE => Phase::Objects {
                after: last.id,
                to: Some(to),
            },
            _ => Phase::Bucket { after: None },
        };
        let looks: Vec<BoxFuture<'_, Result<Vec<Finding>, AuditError>>> =
            objects.iter().map(|object| self.look_at(object).boxed()).collect();
        let findings: Vec<Vec<Finding>> = stream::iter(looks)
            .buffered(self.options.concurrency)
            .try_collect()
            .await?;
        Ok(Page {
            next,
            checked: objects.len() as u64,
            findings: findings.into_iter().flatten().collect(),
        })
    }

    async fn look_at(&self, object: &AuditedObject) -> Result<Vec<Finding>, AuditError> {
        let found = match self.try_look_at(object).await? {
            Some(findings) => findings,
            None => vec![
                Finding::new(FindingKind::MissingObject, "its row is there, the object is not").of_key(&object.key),
            ],
        };
        // Asked again: it may have been merged and deleted while we looked.
        if found.is_empty() || self.is_still_there(object).await? {
            Ok(found)
        } else {
            Ok(Vec::new())
        }
    }

    async fn is_still_there(&self, object: &AuditedObject) -> Result<bool, AuditError> {
        let before = ObjectId(object.id.0 - 1);
        let again = self.metastore.audited_objects(before, object.id, 1).await?;
        Ok(again
            .first()
            .is_some_and(|again| !again.is_doomed && again.live_rows == object.live_rows))
    }

    /// `None`: the object is not there.
    async fn try_look_at(&self, object: &AuditedObject) -> Result<Option<Vec<Finding>>, AuditError> {
        if object.is_doomed {
            return Ok(Some(Vec::new()));
        }
        let tail = match self.get(&object.key, GetRange::Suffix(TAIL_BYTES_MAX as u64)).await {
            Ok(Some(tail)) => tail,
            Ok(None) => return Ok(None),
            Err(error) if error.kind == StorageErrorKind::RangeNotSatisfiable => {
                return Ok(Some(vec![unreadable(object, "it is empty")]));
            }
            Err(error) => return Err(error.into()),
        };
        let footer = match self.footer(object, &tail) {
            Ok(footer) => footer,
            Err(why) => return Ok(Some(vec![unreadable(object, &why)])),
        };
        let mut findings = mismatches(object, &footer, tail.object_bytes);
        if footer.batches.len() == object.outcomes.len() {
            findings.extend(self.look_at_rows(object, &footer).await?);
        }
        match self.look_into(&object.key, &footer, &tail).await? {
            Some(damaged) => findings.extend(damaged),
            None => return Ok(None),
        }
        Ok(Some(findings))
    }

    fn footer(&self, object: &AuditedObject, tail: &Got) -> Result<Footer, String> {
        match object.slot {
            Some(slot) => decode_slot_footer(self.cluster, slot, &tail.bytes, tail.object_bytes)
                .map(|found| found.footer.as_ref().clone())
                .map_err(|error: SlotReadError| error.to_string()),
            None => decode_tail(&tail.bytes, tail.object_bytes).map_err(|error| error.to_string()),
        }
    }

    /// The index rows that must be there by the object's own outcomes.
    async fn look_at_rows(&self, object: &AuditedObject, footer: &Footer) -> Result<Vec<Finding>, AuditError> {
        let expected = expected_rows(footer, &object.outcomes);
        let mut findings = Vec::new();
        if expected.len() as i64 != i64::from(object.live_rows) {
            let detail = format!(
                "its row counts {} index rows, its outcomes give {}",
                object.live_rows,
                expected.len()
            );
            findings.push(Finding::new(FindingKind::ObjectMismatch, detail).of_key(&object.key));
        }
        if expected.is_empty() {
            return Ok(findings);
        }
        let at: Vec<_> = expected
            .iter()
            .map(|row| (row.topic, row.partition, row.base_offset))
            .collect();
        let there = self.metastore.rows_there(&at).await?;
        let pairs = expected
            .iter()
            .zip(&there)
            .filter_map(|(row, there)| Some((row, there.as_ref()?)));
        findings.extend(pairs.filter_map(|(row, there)| compare(object, row, there)));
        Ok(findings)
    }
}

/// An index row that an object's outcomes call for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ExpectedRow {
    topic: TopicId,
    partition: PartitionIndex,
    base_offset: Offset,
    next_offset: Offset,
    range: ByteRange,
}

/// Batches of one partition share a row while neither their bytes nor their offsets leave a gap between them.
fn expected_rows(footer: &Footer, outcomes: &[BatchOutcome]) -> Vec<ExpectedRow> {
    let mut rows: Vec<ExpectedRow> = Vec::new();
    for (batch, outcome) in footer.batches.iter().zip(outcomes) {
        let BatchOutcome::Appended(base_offset) = *outcome else {
            continue;
        };
        let row = ExpectedRow {
            topic: footer.topics[batch.topic as usize].id,
            partition: batch.partition,
            base_offset,
            next_offset: Offset(base_offset.0 + batch.offset_span()),
            range: batch.range,
        };
        match rows.last_mut() {
            Some(last)
                if (last.topic, last.partition, last.next_offset, last.range.end)
                    == (row.topic, row.partition, row.base_offset, row.range.start) =>
            {
                last.next_offset = row.next_offset;
                last.range.end = row.range.end;
            }
            _ => rows.push(row),
        }
    }
    rows
}

fn compare(object: &AuditedObject, row: &ExpectedRow, there: &RowThere) -> Option<Finding> {
    if row.next_offset <= there.log_start {
        return None;
    }
    let detail = match there.row {
        Some(found) if found == (row.next_offset, object.id, row.range) => return None,
        Some((next, id, range)) => format!(
            "its batches there end at offset {} and lie in bytes {}, the index row says offset {next}, bytes {range} of \
             object {id} (this is {})",
            row.next_offset, row.range, object.id
        ),
        None => format!("its batches up to offset {} are in no index row", row.next_offset),
    };
    let finding = Finding::new(FindingKind::IndexMismatch, detail).of_key(&object.key);
    Some(finding.at(&there.topic_name, row.partition, row.base_offset))
}

fn mismatches(object: &AuditedObject, footer: &Footer, object_bytes: u64) -> Vec<Finding> {
    let finding = |kind, detail: String| Finding::new(kind, detail).of_key(&object.key);
    let mut findings = Vec::new();
    if object_bytes != object.object_bytes {
        let detail = format!("it has {object_bytes} bytes, its row says {}", object.object_bytes);
        findings.push(finding(FindingKind::ObjectMismatch, detail));
    }
    if footer.kind != object.kind {
        let detail = format!("its footer says {:?}, its row {:?}", footer.kind, object.kind);
        findings.push(finding(FindingKind::ObjectMismatch, detail));
    }
    if footer.batches.len() != object.outcomes.len() {
        let (batches, outcomes) = (footer.batches.len(), object.outcomes.len());
        let detail = format!("its footer has {batches} batches, its row {outcomes} outcomes");
        findings.push(finding(FindingKind::ObjectMismatch, detail));
    }
    if object.kind == Kind::Tombstone && object.stream_end != object.slot.map(|slot| slot.seq) {
        let detail = match object.stream_end {
            Some(end) => format!("its stream ends at slot {end}"),
            None => "its stream has not ended".to_owned(),
        };
        findings.push(finding(FindingKind::TombstoneWithoutEnd, detail));
    }
    findings
}

fn unreadable(object: &AuditedObject, why: &str) -> Finding {
    // Where a stream ends it does not matter what keeps the key taken.
    let kind = match object.kind {
        Kind::Tombstone => FindingKind::EndedOverJunk,
        Kind::Data | Kind::Merged => FindingKind::UnreadableObject,
    };
    Finding::new(kind, why).of_key(&object.key)
}
