//! Every key under the data prefix: a committed slot, one that soon will be, an orphan, or something that does not belong there.
//!
//! A slot that is decided and not indexed is only a suspect: under load there always are some. It is looked at again until it is
//! indexed, or has stayed so for longer than it may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use metastore::{AuditedSlot, SlotReadError, read_slot_footer};
use object_format::{DATA_PREFIX, Kind, parse_slot_key, slot_key};
use storage::ListedObject;
use tokio::time::{Instant, sleep};
use types::Slot;

use super::{Audit, AuditError, Finding, FindingKind, Page, Phase};

/// Most slots that are kept in mind; then they are settled before more keys are listed.
const SUSPECTS_MAX: usize = 100_000;
const SLOTS_PER_QUESTION: usize = 1000;
/// Time between two looks at the suspects.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

/// Slots that were not indexed when they were seen first, and when that was.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<BTreeMap<Slot, Instant>>);

impl Suspects {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Slot, Instant>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Audit {
    /// The slots to be looked at again, for the state.
    pub(super) fn suspects(&self) -> BTreeSet<Slot> {
        self.suspects.with(|suspects| suspects.keys().copied().collect())
    }

    /// Takes over those of an earlier run; their time begins anew.
    pub(super) fn suspect(&self, slots: impl IntoIterator<Item = Slot>) {
        let now = Instant::now();
        self.suspects.with(|suspects| {
            for slot in slots {
                suspects.entry(slot).or_insert(now);
            }
        });
    }

    pub(super) async fn bucket_page(&self, after: Option<&str>) -> Result<Page, AuditError> {
        let listed = self.store.list(DATA_PREFIX, after).await?;
        let Some(last) = listed.last() else {
            return Ok(Page {
                next: Phase::Unsequenced,
                checked: 0,
                findings: Vec::new(),
            });
        };
        let next = Phase::Bucket {
            after: Some(last.key.as_str().to_owned()),
        };
        let mut findings = Vec::new();
        let mut slots = Vec::new();
        for object in &listed {
            match parse_slot_key(object.key.as_str()) {
                // Postgres has no room for more; no stream lives so long.
                Ok(slot) if slot.seq.0 < i64::MAX as u64 => slots.push((slot, object)),
                _ => findings.push(Finding::new(FindingKind::Junk, "its key names no slot").of_key(&object.key)),
            }
        }
        findings.extend(self.judge(&slots).await?);
        if self.suspects.with(|suspects| suspects.len()) > SUSPECTS_MAX {
            while !self.look_again(&mut findings).await? {}
        }
        Ok(Page {
            next,
            checked: listed.len() as u64,
            findings,
        })
    }

    async fn judge(&self, listed: &[(Slot, &ListedObject)]) -> Result<Vec<Finding>, AuditError> {
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let slots: Vec<Slot> = listed.iter().map(|(slot, _)| *slot).collect();
        let known = self.metastore.audited_slots(&slots).await?;
        let mut findings = Vec::new();
        for ((slot, object), known) in listed.iter().zip(known) {
            match standing(*slot, known) {
                Standing::Committed(row_bytes) if row_bytes == object.object_bytes => {}
                Standing::Committed(row_bytes) => {
                    let detail = format!("it has {} bytes, its row says {row_bytes}", object.object_bytes);
                    findings.push(Finding::new(FindingKind::ObjectMismatch, detail).of_key(&object.key));
                }
                Standing::Waiting => self.suspect([*slot]),
                Standing::Below => findings.extend(self.below_the_gate(*slot).await?),
                Standing::Past => findings.push(orphan(*slot)),
                Standing::Unknown => {
                    let detail = "no row of a stream of this name: written for another database?";
                    findings.push(Finding::new(FindingKind::UnknownStream, detail).of_key(&object.key));
                }
            }
        }
        Ok(findings)
    }

    /// An object below its stream's gate that has no row. Merging frees keys of committed slots, and a sweep that was slow may
    /// put its tombstone into one of them: that ends nothing.
    async fn below_the_gate(&self, slot: Slot) -> Result<Option<Finding>, AuditError> {
        let (kind, detail) = match read_slot_footer(self.store.as_ref(), self.cluster, slot).await {
            Ok(None) => return Ok(None),
            Ok(Some(found)) if found.footer.kind == Kind::Tombstone => (
                FindingKind::FreedSlot,
                "a tombstone in a slot that was committed before".to_owned(),
            ),
            Err(SlotReadError::Storage(error)) if error.is_retriable() => return Err(error.into()),
            _ => (
                FindingKind::CommittedWithoutRow,
                "its stream is committed past this slot, and the object has no row".to_owned(),
            ),
        };
        Ok(Some(Finding::new(kind, detail).of_key(&slot_key(slot))))
    }

    pub(super) async fn unsequenced_page(&self) -> Result<Page, AuditError> {
        let mut findings = Vec::new();
        let settled = self.look_again(&mut findings).await?;
        Ok(Page {
            next: if settled { Phase::Done } else { Phase::Unsequenced },
            checked: 0,
            findings,
        })
    }

    /// Looks at the suspects once more; `true`: none are left. Waits a moment where some are.
    async fn look_again(&self, findings: &mut Vec<Finding>) -> Result<bool, AuditError> {
        let suspects: Vec<Slot> = self.suspects.with(|suspects| suspects.keys().copied().collect());
        let mut settled = Vec::new();
        for slots in suspects.chunks(SLOTS_PER_QUESTION) {
            let known = self.metastore.audited_slots(slots).await?;
            for (slot, known) in slots.iter().zip(known) {
                if let Some(finding) = self.settle(*slot, known).await? {
                    findings.extend(finding);
                    settled.push(*slot);
                }
            }
        }
        let left = self.suspects.with(|suspects| {
            suspects.retain(|slot, _| !settled.contains(slot));
            suspects.len()
        });
        if left > 0 {
            sleep(LOOK_AGAIN).await;
        }
        Ok(left == 0)
    }

    /// `None`: still a suspect. `Some`: settled, with a finding or without.
    async fn settle(&self, slot: Slot, known: AuditedSlot) -> Result<Option<Option<Finding>>, AuditError> {
        let since = self.suspects.with(|suspects| suspects.get(&slot).copied());
        let too_long = since.is_some_and(|since| since.elapsed() >= self.options.unsequenced_max_age);
        match standing(slot, known) {
            Standing::Past => Ok(Some(Some(orphan(slot)))),
            Standing::Waiting if !too_long => Ok(None),
            Standing::Waiting => Ok(Some(self.unindexed(slot).await?)),
            Standing::Below => Ok(Some(self.below_the_gate(slot).await?)),
            Standing::Committed(_) | Standing::Unknown => Ok(Some(None)),
        }
    }

    async fn unindexed(&self, slot: Slot) -> Result<Option<Finding>, AuditError> {
        let limit = self.options.unsequenced_max_age.as_secs_f64();
        let why = match read_slot_footer(self.store.as_ref(), self.cluster, slot).await {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => String::new(),
            Err(SlotReadError::Storage(error)) if error.is_retriable() => return Err(error.into()),
            Err(error) => format!(" and cannot be: {error}; its stream stands still (docs/RELIABILITY.md)"),
        };
        let detail = format!("decided, and not indexed for more than {limit} s{why}");
        Ok(Some(
            Finding::new(FindingKind::UnindexedSlot, detail).of_key(&slot_key(slot)),
        ))
    }
}

fn orphan(slot: Slot) -> Finding {
    Finding::new(FindingKind::Orphan, "past its stream's end").of_key(&slot_key(slot))
}

/// How a slot with an object in the bucket stands in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has a row, which says so many bytes.
    Committed(u64),
    /// It is at its stream's gate or above.
    Waiting,
    /// It is below its stream's gate and has no row.
    Below,
    /// It is past its stream's end.
    Past,
    /// Its stream has no row.
    Unknown,
}

fn standing(slot: Slot, known: AuditedSlot) -> Standing {
    let Some(stream) = known.stream else {
        return Standing::Unknown;
    };
    match known.object {
        Some((_, object_bytes)) => Standing::Committed(object_bytes),
        None if stream.end_seq.is_some_and(|end| slot.seq > end) => Standing::Past,
        None if slot.seq < stream.next_seq => Standing::Below,
        None => Standing::Waiting,
    }
}
