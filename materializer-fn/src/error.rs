//! Retry or poison: what a failure means for whoever brought the event.

use commit::invoke::SlotResult;
use lambda_runtime::Diagnostic;
use metastore::{CommitError, MetastoreError, SlotReadError};
use object_format::FormatError;
use storage::StorageErrorKind;

use crate::event::EventError;
use crate::materialize::Fate;

/// Why an invocation as a whole failed. Lambda brings an event of S3 again, twice; an agent decides for itself.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The event makes no sense.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Some objects of a plain S3 event could not be committed now.
    #[error("{failed} of {objects} objects could not be committed now")]
    Objects {
        /// How many.
        failed: usize,
        /// Of how many.
        objects: usize,
    },
    /// An event tells of an object that is none of ours, and could not be sent to the dead-letter queue now.
    #[error("the event could not be sent to the dead-letter queue: {reason}")]
    DeadLetter {
        /// Why it belongs there.
        reason: String,
    },
    /// An agent's slots could not be committed.
    #[error("slots could not be committed: {0}")]
    Commit(#[from] CommitError),
    /// Postgres failed.
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    /// The invocation ran out of time.
    #[error("out of time")]
    OutOfTime,
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        let error_type = match error {
            HandlerError::Event(_) => "BadEvent",
            HandlerError::Objects { .. } => "NotCommitted",
            HandlerError::DeadLetter { .. } => "PoisonNotSent",
            HandlerError::Commit(_) => "CommitFailed",
            HandlerError::Metastore(_) => "PostgresFailed",
            HandlerError::OutOfTime => "OutOfTime",
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// What the commit said, as a fate.
pub(crate) fn fate_of_result(result: &SlotResult) -> Fate {
    match result {
        SlotResult::Committed(_) => Fate::Committed,
        SlotResult::Pending => Fate::Pending,
        SlotResult::Orphan => Fate::Orphan,
        SlotResult::UnknownStream => Fate::UnknownStream,
        // Footers are checked before; this one was committed so long ago that its outcomes are gone.
        SlotResult::Rejected(_) => Fate::Committed,
    }
}

/// What it means that an object's own footer cannot be read.
pub(crate) fn fate_of_read(error: &SlotReadError) -> Fate {
    if is_worth_another_delivery(error) {
        Fate::Retry
    } else {
        Fate::Unreadable
    }
}

/// What it means for the slots of a stream that their commit failed. Whatever ails Postgres, the objects are
/// sound: even a refused password is put right some day, and until then the queue keeps them.
pub(crate) fn fate_of_commit(error: &CommitError) -> Fate {
    match error {
        CommitError::Metastore(_) => Fate::Retry,
        CommitError::Slot(error) if is_worth_another_delivery(error) => Fate::Retry,
        CommitError::Slot(_) => Fate::Blocked,
    }
}

/// Objects never change, so one that is damaged or foreign is so for ever. One of a newer version waits for the
/// deployment that it ran ahead of, and a refusal of S3 for the person who puts it right.
fn is_worth_another_delivery(error: &SlotReadError) -> bool {
    match error {
        // An object without a byte has no last bytes either.
        SlotReadError::Storage(error) => error.kind != StorageErrorKind::RangeNotSatisfiable,
        SlotReadError::Unreadable { error, .. } => matches!(error, FormatError::Newer(_)),
        SlotReadError::Misplaced { .. } => false,
    }
}
