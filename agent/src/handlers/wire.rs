//! What several handlers need to move between our words and the wire's.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName as WireTopicName;
use kafka_protocol::protocol::StrBytes;
use types::limits::GROUP_ID_BYTES_MAX;
use types::{TopicName, TopicNameError};

/// "No error".
pub(crate) const NO_ERROR: i16 = 0;

/// "Not asked for" in place of a bit field of allowed operations.
pub(crate) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

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
