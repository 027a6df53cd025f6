//! What several handlers need to move between our words and the wire's.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{BrokerId, TopicName as WireTopicName};
use kafka_protocol::protocol::StrBytes;
use types::limits::GROUP_ID_BYTES_MAX;
use types::{NodeId, TopicName, TopicNameError};

/// "No error".
pub(crate) const NO_ERROR: i16 = 0;

/// "Not asked for" in place of a bit field of allowed operations.
pub(crate) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Bits of `AclOperation.code()`: read, write, create, delete, alter, describe, describe configs, alter configs.
pub(crate) const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// Likewise: create, alter, describe, cluster action, describe configs, alter configs, idempotent write.
pub(crate) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// The bit field of allowed operations: all there are, if it was asked for.
pub(crate) fn operations(asked: bool, all: i32) -> i32 {
    if asked { all } else { OPERATIONS_NOT_ASKED }
}

/// Why something is refused: the code, and the message for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) ResponseError, pub(crate) String);

impl Refusal {
    /// With a message that is always the same.
    pub(crate) fn new(error: ResponseError, message: &str) -> Self {
        Self(error, message.to_owned())
    }

    /// With the message that clients have for the code.
    pub(crate) fn plain(error: ResponseError) -> Self {
        Self(error, String::new())
    }
}

/// What a broker without authorizer says to whoever asks for ACLs.
pub(crate) fn no_authorizer() -> Result<(), Refusal> {
    Err(Refusal::new(
        ResponseError::SecurityDisabled,
        "No Authorizer is configured.",
    ))
}

/// A result's code and message as the wire has them.
pub(crate) fn outcome<T>(result: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (NO_ERROR, None),
        Err(Refusal(error, message)) => (error.code(), Some(text(message)).filter(|message| !message.is_empty())),
    }
}

/// A broker's id as the wire has it.
pub(crate) fn broker_id(node: NodeId) -> BrokerId {
    BrokerId(node.0)
}

/// A topic's name as the wire has it.
pub(crate) fn topic_name(name: &TopicName) -> WireTopicName {
    WireTopicName(text(name.as_str()))
}

/// A topic's name off the wire.
pub(crate) fn parse_topic_name(name: &WireTopicName) -> Result<TopicName, TopicNameError> {
    TopicName::new(name.as_str())
}

/// Text as the wire has it.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A code for the wire.
pub(crate) fn code(error: Option<ResponseError>) -> i16 {
    error.map_or(NO_ERROR, |error| error.code())
}

/// Whether a group of this id can be stored; the empty id is for the caller to judge.
pub(crate) fn check_group_id(group: &str) -> Result<(), ResponseError> {
    // Postgres's text takes no NUL.
    if group.len() > GROUP_ID_BYTES_MAX || group.contains('\0') {
        return Err(ResponseError::InvalidGroupId);
    }
    Ok(())
}

/// Proof for tests that an answer can be sent in every version the API has: a field that a version does not know must
/// not be set.
#[cfg(test)]
pub(crate) fn encodes<M: kafka_protocol::protocol::Encodable>(message: &M, version: i16) {
    let mut buffer = bytes::BytesMut::new();
    message
        .encode(&mut buffer, version)
        .unwrap_or_else(|error| panic!("version {version}: {error}"));
}
