//! What an agent sends to the function in `invoke` mode and gets back: JSON, versioned by its envelope.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::ObjectKey;

use crate::BatchOutcome;

/// Value of `CommitRequest::yaks`: how the function tells this event from every other.
pub const COMMIT_REQUEST_V1: &str = "commit/1";

/// "Commit these slots now."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRequest {
    /// Always [`COMMIT_REQUEST_V1`].
    pub yaks: String,
    /// Slots of one stream, in order.
    pub slots: Vec<CommitRequestSlot>,
}

/// A slot with its footer, which spares the function the GET.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRequestSlot {
    /// The object's key.
    pub key: ObjectKey,
    /// Size of the whole object.
    pub object_bytes: u64,
    /// Footer and trailer as they stand in the object (base64 on the wire).
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub footer: Bytes,
}

/// The function's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitResponse {
    /// One per slot of the request, in its order.
    pub slots: Vec<CommitResponseSlot>,
}

/// What became of one slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitResponseSlot {
    /// The object's key.
    pub key: ObjectKey,
    /// What became of it.
    pub result: SlotResult,
}

/// What became of a slot, for whoever waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotResult {
    /// Committed, now or earlier; one outcome per batch.
    Committed(Vec<BatchOutcome>),
    /// A slot before it is missing.
    Pending,
    /// Past the stream's end.
    Orphan,
    /// The stream has no row.
    UnknownStream,
    /// The footer sent does not decode or names another slot.
    Rejected(String),
}

fn to_base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use types::Offset;

    use super::*;

    #[test]
    fn the_json_is_the_golden_one() {
        let request = CommitRequest {
            yaks: COMMIT_REQUEST_V1.to_owned(),
            slots: vec![CommitRequestSlot {
                key: ObjectKey::new("data/v1/00/x/1"),
                object_bytes: 9,
                footer: Bytes::from_static(b"\x00\xff"),
            }],
        };
        let golden = r#"{"yaks":"commit/1","slots":[{"key":"data/v1/00/x/1","object_bytes":9,"footer":"AP8="}]}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), golden);
        assert_eq!(serde_json::from_str::<CommitRequest>(golden).unwrap(), request);

        let slot = |result| CommitResponseSlot {
            key: ObjectKey::new("k"),
            result,
        };
        let outcomes = vec![BatchOutcome::Appended(Offset(7)), BatchOutcome::TopicDeleted];
        let response = CommitResponse {
            slots: vec![slot(SlotResult::Committed(outcomes)), slot(SlotResult::Pending)],
        };
        let golden = concat!(
            r#"{"slots":[{"key":"k","result":{"committed":[{"appended":7},"topic_deleted"]}},"#,
            r#"{"key":"k","result":"pending"}]}"#
        );
        assert_eq!(serde_json::to_string(&response).unwrap(), golden);
        assert_eq!(serde_json::from_str::<CommitResponse>(golden).unwrap(), response);
    }
}
