//! What can go wrong with S3, told apart by what the caller can do about it.

/// An S3 request that did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} {key}: {message}")]
pub struct StorageError {
    /// What the caller can do about it.
    pub kind: StorageErrorKind,
    /// The S3 operation, as AWS names it (`PutObject`).
    pub operation: &'static str,
    /// Key or prefix.
    pub key: String,
    /// Code and message of the service or of the client.
    pub message: String,
}

/// What the caller can do about a `StorageError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// No such key: final.
    NotFound,
    /// No such bucket, or not ours: final until somebody acts.
    BadBucket,
    /// The range lies outside the object: final.
    RangeNotSatisfiable,
    /// Credentials or permissions: final until somebody acts.
    AccessDenied,
    /// 503 SlowDown and kin: try again, later and less.
    Throttled,
    /// A concurrent conditional PUT of the same key (409): try again.
    Conflict,
    /// No answer in time: it may have happened.
    TimedOut,
    /// Connection lost or 5xx: it may have happened.
    Unavailable,
    /// Anything else: not worth a retry.
    Other,
}

impl StorageError {
    /// Whether the same request may succeed later without anybody acting.
    pub fn is_retriable(&self) -> bool {
        use StorageErrorKind::{
            AccessDenied, BadBucket, Conflict, NotFound, Other, RangeNotSatisfiable, Throttled, TimedOut, Unavailable,
        };
        match self.kind {
            Throttled | Conflict | TimedOut | Unavailable => true,
            NotFound | BadBucket | RangeNotSatisfiable | AccessDenied | Other => false,
        }
    }
}
