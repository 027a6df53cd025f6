//! Streams' rows against the rows of their objects.

use commit::StreamState;
use metastore::AuditedStream;
use object_format::{Kind, slot_key};
use types::{Slot, SlotSeq, StreamId};

use super::{Audit, AuditError, Finding, FindingKind, Page, Phase};

const STREAMS_PER_PAGE: i64 = 1000;

impl Audit {
    pub(super) async fn streams_page(&self, after: Option<StreamId>) -> Result<Page, AuditError> {
        let streams = self.metastore.audited_streams(after, STREAMS_PER_PAGE).await?;
        let next = match streams.last() {
            Some(last) if streams.len() as i64 == STREAMS_PER_PAGE => Phase::Streams {
                after: Some(last.stream),
            },
            _ => Phase::Index { after: None },
        };
        Ok(Page {
            next,
            checked: streams.len() as u64,
            findings: streams.iter().flat_map(look_at).collect(),
        })
    }
}

fn look_at(audited: &AuditedStream) -> Vec<Finding> {
    let AuditedStream {
        stream,
        state: StreamState { next_seq, end_seq },
        last_seq,
        end_kind,
    } = *audited;
    let finding = |kind, seq: SlotSeq, detail: String| {
        let key = slot_key(Slot { stream, seq });
        Finding::new(kind, detail).of_key(&key)
    };
    let mut findings = Vec::new();
    if let Some(last) = last_seq.filter(|last| *last >= next_seq) {
        let detail = format!("slot {last} is committed, and the stream's gate stands at {next_seq}");
        findings.push(finding(FindingKind::ObjectPastGate, last, detail));
    }
    if let Some(end) = end_seq.filter(|_| end_kind != Some(Kind::Tombstone)) {
        let found = end_kind.map_or("nothing".to_owned(), |kind| format!("{kind:?}").to_lowercase());
        let detail = format!("the stream ends at slot {end}, where {found} is committed instead of a tombstone");
        findings.push(finding(FindingKind::EndWithoutTombstone, end, detail));
    }
    findings
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn kinds(next: u64, end: Option<u64>, last: Option<u64>, end_kind: Option<Kind>) -> Vec<FindingKind> {
        let audited = AuditedStream {
            stream: StreamId(Uuid::from_u128(1)),
            state: StreamState {
                next_seq: SlotSeq(next),
                end_seq: end.map(SlotSeq),
            },
            last_seq: last.map(SlotSeq),
            end_kind,
        };
        look_at(&audited).into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn gate_and_end_are_held_against_the_objects() {
        assert_eq!(kinds(0, None, None, None), []);
        assert_eq!(kinds(3, None, Some(2), None), []);
        assert_eq!(kinds(3, Some(2), Some(2), Some(Kind::Tombstone)), []);
        assert_eq!(kinds(3, None, Some(3), None), [FindingKind::ObjectPastGate]);
        assert_eq!(
            kinds(3, Some(2), Some(2), Some(Kind::Data)),
            [FindingKind::EndWithoutTombstone]
        );
        assert_eq!(kinds(3, Some(2), Some(1), None), [FindingKind::EndWithoutTombstone]);
    }
}
