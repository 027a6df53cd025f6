//! (skeleton) slot <-> S3 key.
use types::{ObjectKey, Slot, StreamId};

/// Only slots lie under this prefix; it is the S3 event filter.
pub const DATA_PREFIX: &str = "data/";

/// Why a key names no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a slot key: {0}")]
pub struct KeyError(pub String);

/// `data/v1/<shard>/<stream>/<seq in 20 digits>`.
pub fn slot_key(_slot: Slot) -> ObjectKey {
    unimplemented!()
}

/// `data/v1/<shard>/<stream>/`: one LIST of it shows one stream.
pub fn stream_prefix(_stream: StreamId) -> String {
    unimplemented!()
}

/// The slot a key names; the key must be exactly the one `slot_key` makes.
pub fn parse_slot_key(_key: &str) -> Result<Slot, KeyError> {
    unimplemented!()
}
