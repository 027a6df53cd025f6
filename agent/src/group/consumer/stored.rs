//! A group as bytes: JSON with a version in front, so that agents of two versions can hand it to each other.

use serde::{Deserialize, Serialize};

use super::state::ConsumerGroup;

/// What is written now.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored<G> {
    version: u32,
    #[serde(flatten)]
    group: G,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Why a stored group cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredGroupError {
    /// No JSON, or not what we write.
    #[error("the stored group is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Written by an agent of a later version.
    #[error("the stored group has version {0}, which only a newer agent can read")]
    Newer(u32),
}

impl ConsumerGroup {
    /// The group as it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            group: self,
        };
        serde_json::to_vec(&stored).expect("its keys are texts and numbers, and it holds no floats")
    }

    /// A group that was stored.
    pub fn from_bytes(stored: &[u8]) -> Result<Self, StoredGroupError> {
        let Versioned { version } = serde_json::from_slice(stored)?;
        if version > VERSION {
            return Err(StoredGroupError::Newer(version));
        }
        Ok(serde_json::from_slice(stored)?)
    }
}

/// Bytes as text.
pub(super) mod base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}
