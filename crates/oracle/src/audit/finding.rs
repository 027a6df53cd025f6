//! What an audit can find, and how it says so.

use std::fmt;

use serde::{Deserialize, Serialize};
use types::{ObjectKey, Offset, PartitionIndex};

/// A part of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Streams' rows against the rows of their objects.
    Streams,
    /// Each partition's index: contiguous from its start to its end.
    Index,
    /// Every object that has a row: in the bucket, whole, and as its rows say.
    Objects,
    /// Every key under the data prefix: known, or about to be.
    Bucket,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 4] = [Self::Streams, Self::Index, Self::Objects, Self::Bucket];

    /// Its name, and what it counts.
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Streams => ("streams", "streams"),
            Self::Index => ("index", "rows"),
            Self::Objects => ("objects", "objects"),
            Self::Bucket => ("bucket", "keys"),
        }
    }
}

/// What is wrong, or worth a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A stream's row says that it has ended, and its slot holds no tombstone.
    EndWithoutTombstone,
    /// An object was committed at or past its stream's gate.
    ObjectPastGate,
    /// Offsets of a partition that no index row has.
    Gap,
    /// Offsets that two index rows have.
    Overlap,
    /// An index row of an object that has no row.
    RowWithoutObject,
    /// An index row whose object says that no batch was appended there.
    UnbackedRow,
    /// An object that has a row and is not in the bucket.
    MissingObject,
    /// An object that has a row and whose footer cannot be read.
    UnreadableObject,
    /// An object that is not what its rows say.
    ObjectMismatch,
    /// A batch whose bytes are not those that were written.
    DamagedBatch,
    /// The index does not say what the object's outcomes say.
    IndexMismatch,
    /// A committed tombstone, and the stream's row does not end there.
    TombstoneWithoutEnd,
    /// A slot that is decided and not indexed for too long.
    UnindexedSlot,
    /// A key under the data prefix that names no slot.
    Junk,
    /// An object of a stream that has no row.
    UnknownStream,
    /// An object in a slot below its stream's gate that has no row.
    CommittedWithoutRow,
    /// An object in a slot past its stream's end: nobody's, and deleted some day.
    Orphan,
    /// A tombstone in a slot that was committed, merged and freed before: it ends nothing.
    FreedSlot,
    /// The slot in which a stream has ended holds something unreadable, which keeps it taken as well as a tombstone does.
    EndedOverJunk,
}

impl FindingKind {
    /// Whether it speaks against the deployment.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Orphan | Self::FreedSlot | Self::EndedOverJunk)
    }

    /// The check that finds it.
    pub fn check(self) -> Check {
        match self {
            Self::EndWithoutTombstone | Self::ObjectPastGate => Check::Streams,
            Self::Gap | Self::Overlap | Self::RowWithoutObject | Self::UnbackedRow => Check::Index,
            Self::MissingObject
            | Self::UnreadableObject
            | Self::ObjectMismatch
            | Self::DamagedBatch
            | Self::IndexMismatch
            | Self::TombstoneWithoutEnd
            | Self::EndedOverJunk => Check::Objects,
            Self::UnindexedSlot
            | Self::Junk
            | Self::UnknownStream
            | Self::CommittedWithoutRow
            | Self::Orphan
            | Self::FreedSlot => Check::Bucket,
        }
    }

    /// Its name in both kinds of output.
    pub fn name(self) -> &'static str {
        match self {
            Self::EndWithoutTombstone => "end_without_tombstone",
            Self::ObjectPastGate => "object_past_gate",
            Self::Gap => "gap",
            Self::Overlap => "overlap",
            Self::RowWithoutObject => "row_without_object",
            Self::UnbackedRow => "unbacked_row",
            Self::MissingObject => "missing_object",
            Self::UnreadableObject => "unreadable_object",
            Self::ObjectMismatch => "object_mismatch",
            Self::DamagedBatch => "damaged_batch",
            Self::IndexMismatch => "index_mismatch",
            Self::TombstoneWithoutEnd => "tombstone_without_end",
            Self::UnindexedSlot => "unindexed_slot",
            Self::Junk => "junk",
            Self::UnknownStream => "unknown_stream",
            Self::CommittedWithoutRow => "committed_without_row",
            Self::Orphan => "orphan",
            Self::FreedSlot => "freed_slot",
            Self::EndedOverJunk => "ended_over_junk",
        }
    }
}

/// One thing that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    #[serde(rename = "finding")]
    pub kind: FindingKind,
    /// In which object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<ObjectKey>,
    /// In which topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// In which partition of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionIndex>,
    /// From which offset on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// In words.
    pub detail: String,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            key: None,
            topic: None,
            partition: None,
            offset: None,
            detail: detail.into(),
        }
    }

    #[must_use]
    pub(super) fn of_key(self, key: &ObjectKey) -> Self {
        Self {
            key: Some(key.clone()),
            ..self
        }
    }

    #[must_use]
    pub(super) fn at(self, topic: &str, partition: PartitionIndex, offset: Offset) -> Self {
        Self {
            topic: Some(topic.to_owned()),
            partition: Some(partition),
            offset: Some(offset),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.kind.is_failure() { "FAIL" } else { "NOTE" };
        write!(f, "{word}  {}", self.kind.name())?;
        if let Some(key) = &self.key {
            write!(f, " key={key}")?;
        }
        if let Some(topic) = &self.topic {
            write!(f, " topic={topic}")?;
        }
        if let Some(partition) = self.partition {
            write!(f, " partition={partition}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " offset={offset}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_its_place_in_both_kinds_of_output() {
        let finding = Finding::new(FindingKind::DamagedBatch, "checksum mismatch")
            .of_key(&ObjectKey::new("data/x"))
            .at("t", PartitionIndex(3), Offset(7));
        assert_eq!(
            finding.to_string(),
            "FAIL  damaged_batch key=data/x topic=t partition=3 offset=7: checksum mismatch"
        );
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            concat!(
                r#"{"finding":"damaged_batch","key":"data/x","topic":"t","partition":3,"offset":7,"#,
                r#""detail":"checksum mismatch"}"#
            )
        );
    }

    #[test]
    fn an_orphan_is_only_a_note() {
        assert!(!FindingKind::Orphan.is_failure());
        assert!(FindingKind::Junk.is_failure());
    }
}
