//! What yaks asks of S3, and nothing more.

use async_trait::async_trait;
use bytes::Bytes;
use types::{ByteRange, ObjectKey};

use crate::StorageError;

/// Whether a conditional PUT won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is there now, and it is the one we sent.
    Created,
    /// The key was taken before (412): read the footer there to learn whether by us.
    AlreadyExists,
}

/// Which bytes of an object to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetRange {
    /// All of it.
    Full,
    /// `start..end`, cut at the object's end.
    Bytes(ByteRange),
    /// The last so many bytes, or all of a shorter object.
    Suffix(u64),
}

impl GetRange {
    /// Whether it asks for nothing, which HTTP cannot say.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Full => false,
            Self::Bytes(range) => range.is_empty(),
            Self::Suffix(bytes) => bytes == 0,
        }
    }

    /// Value of the `Range` header; `None` for the whole object.
    pub fn to_http(self) -> Option<String> {
        match self {
            Self::Full => None,
            Self::Bytes(range) => Some(range.to_http()),
            Self::Suffix(bytes) => Some(format!("bytes=-{bytes}")),
        }
    }

    /// The bytes meant in an object of `object_bytes` bytes; empty if none of them are there.
    pub fn within(self, object_bytes: u64) -> ByteRange {
        let (start, end) = match self {
            Self::Full => (0, object_bytes),
            Self::Bytes(range) => (range.start.min(object_bytes), range.end.min(object_bytes)),
            Self::Suffix(bytes) => (object_bytes.saturating_sub(bytes), object_bytes),
        };
        ByteRange { start, end }
    }
}

/// An answer to a GET.
#[derive(Clone, Debug)]
pub struct Got {
    /// The bytes asked for.
    pub bytes: Bytes,
    /// Where they lie in the object.
    pub range: ByteRange,
    /// Size of the whole object.
    pub object_bytes: u64,
}

/// One line of a LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: ObjectKey,
    /// Its size.
    pub object_bytes: u64,
}

/// A bucket. Every method makes one S3 request (the SDK's own retries for throttling and lost connections excepted),
/// is bounded in time, and may be cancelled at any await: a cancelled PUT may still have happened.
#[async_trait]
pub trait ObjectStore: Send + Sync + std::fmt::Debug + 'static {
    /// PUT with `If-None-Match: *`; a 409 (a concurrent conditional PUT) is an error worth retrying.
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError>;

    /// GET; `StorageErrorKind::NotFound` for a key that is not there, `RangeNotSatisfiable` where a range (but not
    /// `Full`) covers no byte of the object.
    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError>;

    /// Up to 1000 objects under `prefix`, the first by key that sort after `start_after`. One request; in a directory bucket (S3 Express) as
    /// many as `prefix` has thousands of objects.
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError>;

    /// DELETE; a missing key is no error.
    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;

    /// Whether the bucket is there and ours to use; called once at start.
    async fn check(&self) -> Result<(), StorageError>;
}
