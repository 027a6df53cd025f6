//! The index of each partition: rows that follow each other from the start of its log to its end, each of an object that says
//! so too.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use metastore::{AuditedPartition, AuditedRow, AuditedRows};
use types::{Offset, PartitionIndex, TopicNumber};

use super::{Audit, AuditError, Finding, FindingKind, Page, Phase};

const PARTITIONS_PER_PAGE: i64 = 64;
const ROWS_PER_QUESTION: i64 = 2000;

impl Audit {
    pub(super) async fn index_page(&self, after: Option<(TopicNumber, PartitionIndex)>) -> Result<Page, AuditError> {
        let partitions = self.metastore.audited_partitions(after, PARTITIONS_PER_PAGE).await?;
        let next = match partitions.last() {
            Some(last) if partitions.len() as i64 == PARTITIONS_PER_PAGE => Phase::Index {
                after: Some((last.topic, last.partition)),
            },
            _ => Phase::Objects {
                after: 0.into(),
                to: None,
            },
        };
        let looks: Vec<BoxFuture<'_, Result<Walked, AuditError>>> = partitions
            .iter()
            .map(|partition| self.walk(partition).boxed())
            .collect();
        let walked: Vec<Walked> = stream::iter(looks)
            .buffer_unordered(self.options.concurrency)
            .try_collect()
            .await?;
        Ok(Page {
            next,
            checked: walked.iter().map(|walked| walked.rows).sum(),
            findings: walked.into_iter().flat_map(|walked| walked.findings).collect(),
        })
    }

    /// One partition, up to the end that it has now: what is appended meanwhile is left to the next audit.
    async fn walk(&self, partition: &AuditedPartition) -> Result<Walked, AuditError> {
        let mut walked = Walked::default();
        let mut horizon = None;
        loop {
            let from = walked.at;
            let look = self
                .metastore
                .audited_rows(partition.topic, partition.partition, from, ROWS_PER_QUESTION);
            // Deleted meanwhile.
            let Some(found) = look.await? else {
                return Ok(Walked::default());
            };
            let horizon = *horizon.get_or_insert(found.end);
            walked.take(partition, &found);
            if walked.at.is_none_or(|at| at >= horizon) {
                return Ok(walked);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Walked {
    /// One past the last offset seen; `None` before the first.
    at: Option<Offset>,
    rows: u64,
    findings: Vec<Finding>,
}

impl Walked {
    fn take(&mut self, partition: &AuditedPartition, found: &AuditedRows) {
        let begins = self.at.is_none();
        let mut at = self.at.unwrap_or(found.log_start);
        for (n, row) in found.rows.iter().enumerate() {
            // Records below the log's start may share a row with those above it.
            let may_begin_before = begins && n == 0;
            self.follow(partition, at, row, may_begin_before);
            at = at.max(row.next_offset);
            self.rows += 1;
        }
        if (found.rows.len() as i64) < ROWS_PER_QUESTION && at != found.end {
            let kind = if at < found.end {
                FindingKind::Gap
            } else {
                FindingKind::Overlap
            };
            let detail = format!("the index ends at offset {at}, and the partition at {}", found.end);
            self.note(partition, at, Finding::new(kind, detail));
            at = at.max(found.end);
        }
        self.at = Some(at);
    }

    fn follow(&mut self, partition: &AuditedPartition, at: Offset, row: &AuditedRow, may_begin_before: bool) {
        let base = row.base_offset;
        if base > at {
            let detail = format!("offsets {at} to {} are in no index row", base.0 - 1);
            self.note(partition, at, Finding::new(FindingKind::Gap, detail));
        } else if base < at && !may_begin_before {
            let detail = format!("the row at {base} begins before {at}, where the row before it ends");
            self.note(partition, base, Finding::new(FindingKind::Overlap, detail));
        }
        if row.next_offset <= base || row.range.is_empty() {
            let detail = format!(
                "the row holds offsets {base} to {} and bytes {}",
                row.next_offset, row.range
            );
            self.note(partition, base, Finding::new(FindingKind::IndexMismatch, detail));
        }
        match &row.key {
            None => {
                let detail = format!("the row is of object {}, which has no row", row.object);
                self.note(partition, base, Finding::new(FindingKind::RowWithoutObject, detail));
            }
            Some(key) if !row.is_backed => {
                let detail = "the object's own outcomes have no batch at this offset";
                let finding = Finding::new(FindingKind::UnbackedRow, detail).of_key(key);
                self.note(partition, base, finding);
            }
            Some(_) => {}
        }
    }

    fn note(&mut self, partition: &AuditedPartition, offset: Offset, finding: Finding) {
        let finding = finding.at(&partition.topic_name, partition.partition, offset);
        self.findings.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use types::{ByteRange, ObjectId, ObjectKey};

    use super::*;

    fn row(base: i64, next: i64) -> AuditedRow {
        AuditedRow {
            base_offset: Offset(base),
            next_offset: Offset(next),
            object: ObjectId(1),
            range: ByteRange { start: 0, end: 9 },
            key: Some(ObjectKey::new("k")),
            is_backed: true,
        }
    }

    fn found(log_start: i64, end: i64, rows: Vec<AuditedRow>) -> Vec<(FindingKind, i64)> {
        let partition = AuditedPartition {
            topic: TopicNumber(1),
            topic_name: "t".to_owned(),
            partition: PartitionIndex(0),
        };
        let mut walked = Walked::default();
        let rows = AuditedRows {
            log_start: Offset(log_start),
            end: Offset(end),
            rows,
        };
        walked.take(&partition, &rows);
        let place = |finding: Finding| (finding.kind, finding.offset.unwrap().0);
        walked.findings.into_iter().map(place).collect()
    }

    #[test]
    fn rows_without_gap_from_start_to_end_are_sound() {
        assert_eq!(found(0, 0, vec![]), []);
        assert_eq!(found(0, 9, vec![row(0, 5), row(5, 9)]), []);
        assert_eq!(found(3, 9, vec![row(0, 5), row(5, 9)]), []);
    }

    #[test]
    fn gaps_and_overlaps_are_named_with_their_offset() {
        assert_eq!(found(0, 9, vec![row(1, 9)]), [(FindingKind::Gap, 0)]);
        assert_eq!(found(0, 9, vec![row(0, 5), row(6, 9)]), [(FindingKind::Gap, 5)]);
        assert_eq!(found(0, 9, vec![row(0, 5)]), [(FindingKind::Gap, 5)]);
        assert_eq!(found(0, 9, vec![row(0, 5), row(4, 9)]), [(FindingKind::Overlap, 4)]);
        assert_eq!(found(0, 9, vec![row(0, 10)]), [(FindingKind::Overlap, 10)]);
    }

    #[test]
    fn a_row_without_a_sound_object_is_named() {
        let alone = AuditedRow { key: None, ..row(0, 9) };
        assert_eq!(found(0, 9, vec![alone]), [(FindingKind::RowWithoutObject, 0)]);
        let unbacked = AuditedRow {
            is_backed: false,
            ..row(0, 9)
        };
        assert_eq!(found(0, 9, vec![unbacked]), [(FindingKind::UnbackedRow, 0)]);
    }
}
