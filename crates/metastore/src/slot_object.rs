//! Reads a slot's footer out of S3: one suffix-range GET.

use ::commit::SlotFooter;
use bytes::Bytes;
use object_format::{FormatError, Kind, TAIL_BYTES_MAX, decode_tail, slot_key, tail_of};
use storage::{GetRange, ObjectStore, StorageError, StorageErrorKind};
use types::{ClusterId, Slot};

/// Why a slot's object gave no footer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SlotReadError {
    /// S3 did not answer as it should.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is an object, and it is no object of ours, damaged, or of a newer version.
    #[error("object of slot {slot}: {error}")]
    Unreadable {
        /// The slot.
        slot: Slot,
        /// What is wrong with the bytes.
        error: FormatError,
    },
    /// The footer names another slot or another cluster.
    #[error("object of slot {slot} was written for slot {found} of cluster {cluster}")]
    Misplaced {
        /// The slot.
        slot: Slot,
        /// The slot its footer names.
        found: Slot,
        /// The cluster its footer names.
        cluster: ClusterId,
    },
}

impl SlotReadError {
    /// Whether the same read may succeed later without anybody acting. Objects never change, so one that cannot be
    /// read now never will be (by this build).
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_retriable())
    }

    /// Whether no build, of now or to come, takes what was read for the object of its slot.
    pub fn is_no_object(&self) -> bool {
        match self {
            Self::Storage(error) => error.kind == StorageErrorKind::RangeNotSatisfiable,
            Self::Misplaced { .. } => true,
            Self::Unreadable { error, .. } => !matches!(error, FormatError::Newer(_)),
        }
    }

    /// Why, in a word: for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Storage(error) if error.kind == StorageErrorKind::RangeNotSatisfiable => "empty",
            Self::Storage(_) => "storage",
            Self::Misplaced { .. } => "misplaced",
            Self::Unreadable { error, .. } => match error {
                FormatError::Foreign => "foreign",
                FormatError::Truncated { .. } => "truncated",
                FormatError::Damaged { .. } => "damaged",
                FormatError::Newer(_) => "newer",
                FormatError::Invalid(_) | FormatError::TooLarge { .. } => "invalid",
            },
        }
    }
}

/// The footer of the object in `slot`; `None` when the slot is free.
pub async fn read_slot_footer(
    store: &dyn ObjectStore,
    cluster: ClusterId,
    slot: Slot,
) -> Result<Option<SlotFooter>, SlotReadError> {
    let key = slot_key(slot);
    let got = match store.get(&key, GetRange::Suffix(TAIL_BYTES_MAX as u64)).await {
        Ok(got) => got,
        Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    decode_slot_footer(cluster, slot, &got.bytes, got.object_bytes).map(Some)
}

/// The footer at the end of `tail`, the last bytes of an object of `object_bytes` bytes, if it is that of `slot`.
pub fn decode_slot_footer(
    cluster: ClusterId,
    slot: Slot,
    tail: &[u8],
    object_bytes: u64,
) -> Result<SlotFooter, SlotReadError> {
    let unreadable = |error| SlotReadError::Unreadable { slot, error };
    // What has no room in a row must not reach one: no agent writes such objects.
    if slot.seq.0 > i64::MAX as u64 || object_bytes > i32::MAX as u64 {
        return Err(unreadable(FormatError::Invalid("no agent writes so far or so much")));
    }
    let footer = decode_tail(tail, object_bytes).map_err(unreadable)?;
    if footer.slot != slot || footer.cluster != cluster {
        return Err(SlotReadError::Misplaced {
            slot,
            found: footer.slot,
            cluster: footer.cluster,
        });
    }
    // Its batches have offsets already; committing it would give them new ones.
    if footer.kind == Kind::Merged {
        return Err(unreadable(FormatError::Invalid("a merged object lies in a slot")));
    }
    // A copy: the slice would keep all of a 256 KiB answer alive while the slot is pending.
    let tail = Bytes::copy_from_slice(tail_of(tail).map_err(unreadable)?);
    Ok(SlotFooter {
        footer: footer.into(),
        tail,
        object_bytes,
    })
}
