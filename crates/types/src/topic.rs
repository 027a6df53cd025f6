//! A topic's name: valid by existing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::TOPIC_NAME_BYTES_MAX;

/// A legal Kafka topic name: 1 to 249 of `[a-zA-Z0-9._-]`, neither "." nor "..".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a text is no topic name; the message is the one clients are shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// The empty text.
    #[error("the empty string is not allowed")]
    Empty,
    /// "." or "..".
    #[error("'.' or '..' is not allowed")]
    Dots,
    /// More than 249 bytes.
    #[error("the length is illegal, can't be longer than {TOPIC_NAME_BYTES_MAX} characters")]
    TooLong,
    /// A character outside the legal ones.
    #[error("contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")]
    IllegalCharacter,
}

impl TopicName {
    /// Checks `name` as Kafka's `Topic.validate` does.
    pub fn new(name: &str) -> Result<Self, TopicNameError> {
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name == "." || name == ".." {
            return Err(TopicNameError::Dots);
        }
        if name.len() > TOPIC_NAME_BYTES_MAX {
            return Err(TopicNameError::TooLong);
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !name.bytes().all(legal) {
            return Err(TopicNameError::IllegalCharacter);
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for TopicName {
    type Error = TopicNameError;

    fn try_from(name: String) -> Result<Self, TopicNameError> {
        Self::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        assert!(TopicName::new("a.B_c-9").is_ok());
        assert!(TopicName::new(&"x".repeat(249)).is_ok());
        assert_eq!(TopicName::new(""), Err(TopicNameError::Empty));
        assert_eq!(TopicName::new(".."), Err(TopicNameError::Dots));
        assert_eq!(TopicName::new(&"x".repeat(250)), Err(TopicNameError::TooLong));
        assert_eq!(TopicName::new("a b"), Err(TopicNameError::IllegalCharacter));
        assert_eq!(TopicName::new("käse"), Err(TopicNameError::IllegalCharacter));
    }
}
