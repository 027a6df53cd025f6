//! Where an audit stands: small, and all that a later run needs to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use types::{ClusterId, ObjectId, PartitionIndex, Slot, StreamId, TopicNumber};

use super::{Check, FindingKind, Page};

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Streams after this one.
    Streams {
        /// The last one that is done.
        after: Option<StreamId>,
    },
    /// Partitions after this one.
    Index {
        /// The last one that is done.
        after: Option<(TopicNumber, PartitionIndex)>,
    },
    /// Objects after this one, up to the last that was there when the phase began.
    Objects {
        /// The last one that is done.
        after: ObjectId,
        /// The last one to do; `None`: not asked for yet.
        to: Option<ObjectId>,
    },
    /// Keys after this one.
    Bucket {
        /// The last one that is done.
        after: Option<String>,
    },
    /// Slots that were not indexed when they were listed.
    Unsequenced,
    /// Nothing.
    Done,
}

impl Phase {
    /// The check it is part of.
    pub fn check(&self) -> Option<Check> {
        match self {
            Self::Streams { .. } => Some(Check::Streams),
            Self::Index { .. } => Some(Check::Index),
            Self::Objects { .. } => Some(Check::Objects),
            Self::Bucket { .. } | Self::Unsequenced => Some(Check::Bucket),
            Self::Done => None,
        }
    }
}

/// What was looked at and found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Things looked at, per check.
    pub checked: BTreeMap<Check, u64>,
    /// Findings, per kind.
    pub found: BTreeMap<FindingKind, u64>,
}

impl Tally {
    /// Findings that speak against the deployment.
    pub fn failures(&self) -> u64 {
        self.count(|kind| kind.is_failure())
    }

    /// Failures and notes of one check.
    pub fn of(&self, check: Check) -> (u64, u64) {
        let failures = self.count(|kind| kind.check() == check && kind.is_failure());
        let notes = self.count(|kind| kind.check() == check && !kind.is_failure());
        (failures, notes)
    }

    fn count(&self, wanted: impl Fn(FindingKind) -> bool) -> u64 {
        let found = self.found.iter().filter(|(kind, _)| wanted(**kind));
        found.map(|(_, count)| count).sum()
    }
}

/// Where an audit stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditState {
    /// Whose data it looks at.
    pub cluster: ClusterId,
    /// What comes next.
    pub phase: Phase,
    /// What was found so far.
    pub tally: Tally,
    /// Slots that were not indexed when they were listed, and may be by now.
    pub suspects: BTreeSet<Slot>,
}

impl AuditState {
    /// At the beginning.
    pub fn new(cluster: ClusterId) -> Self {
        Self {
            cluster,
            phase: Phase::Streams { after: None },
            tally: Tally::default(),
            suspects: BTreeSet::new(),
        }
    }

    /// What `path` holds, or the beginning if there is no such file.
    pub(super) fn load(path: &Path, cluster: ClusterId) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::new(cluster)),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        let state: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not an audit's state", path.display()))?;
        ensure!(
            state.cluster == cluster,
            "{} is the state of an audit of cluster {}, this is {cluster}",
            path.display(),
            state.cluster
        );
        Ok(state)
    }

    /// Writes it beside `path`, then renames: a crash leaves the old state or the new one.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let failed = || format!("could not write {}", path.display());
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = Path::new(&beside);
        let mut file = std::fs::File::create(beside).with_context(failed)?;
        file.write_all(&serde_json::to_vec(self)?).with_context(failed)?;
        file.sync_all().with_context(failed)?;
        std::fs::rename(beside, path).with_context(failed)
    }

    /// Takes in what a page gave.
    pub(super) fn advance(&mut self, page: &Page) {
        if let Some(check) = self.phase.check() {
            *self.tally.checked.entry(check).or_default() += page.checked;
        }
        for finding in &page.findings {
            *self.tally.found.entry(finding.kind).or_default() += 1;
        }
        self.phase = page.next.clone();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_saved_state_is_where_the_next_run_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let cluster = ClusterId(Uuid::from_u128(1));
        let mut state = AuditState::load(&path, cluster).unwrap();
        assert_eq!(state, AuditState::new(cluster));

        state.phase = Phase::Objects {
            after: ObjectId(7),
            to: Some(ObjectId(9)),
        };
        state.tally.checked.insert(Check::Objects, 7);
        state.tally.found.insert(FindingKind::Orphan, 2);
        state.save(&path).unwrap();
        assert_eq!(AuditState::load(&path, cluster).unwrap(), state);

        let other = AuditState::load(&path, ClusterId(Uuid::from_u128(2)));
        assert!(other.unwrap_err().to_string().contains("audit of cluster"));
    }
}
