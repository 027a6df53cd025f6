//! Groups from and to their rows.

use metastore::{CoordinatorEpoch, GroupKind, GroupState, GroupWriteError, Metastore, MetastoreError};
use tokio::time::Instant;
use types::NodeId;

use super::ask::GroupError;
use super::kind::{Group, UnreadableGroup};

/// A group that we have taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) epoch: CoordinatorEpoch,
    pub(super) group: Group,
}

/// Why a group could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableGroup),
}

/// The rows of groups.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) metastore: Metastore,
}

impl Store {
    /// Takes a group from whoever had it; `None`: it is not there and not to be created.
    pub(super) async fn take(
        &self,
        group: &str,
        node: NodeId,
        create: Option<GroupKind>,
    ) -> Result<Option<Held>, TakeError> {
        let Some(taken) = self.metastore.take_group(group, node, create).await? else {
            return Ok(None);
        };
        Ok(Some(Held {
            epoch: taken.epoch,
            group: Group::load(&taken.state, Instant::now())?,
        }))
    }

    pub(super) async fn save(
        &self,
        group: &str,
        epoch: CoordinatorEpoch,
        state: &GroupState,
    ) -> Result<(), GroupError> {
        let saved = self.metastore.save_group(group, epoch, state).await;
        saved.map_err(|error| refused(group, &error))
    }

    pub(super) async fn delete(&self, group: &str, epoch: CoordinatorEpoch) -> Result<(), GroupError> {
        let deleted = self.metastore.delete_group(group, epoch).await;
        deleted.map_err(|error| refused(group, &error))
    }
}

/// What those who wait are told of a write that failed. Whether it happened is not always known: whoever was fenced or
/// failed reads the row again before it says anything else.
fn refused(group: &str, error: &GroupWriteError) -> GroupError {
    match error {
        GroupWriteError::Fenced => {
            tracing::info!(group.id = group, "group taken by another coordinator");
            GroupError::NotCoordinator
        }
        GroupWriteError::Metastore(error) => {
            tracing::warn!(group.id = group, %error, "group cannot be saved");
            GroupError::Unavailable
        }
    }
}
