//! What can go wrong between agent and sidecar, told apart by what the agent does next.

/// A request to the sidecar that gave no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// S3 has no such key, says the sidecar.
    #[error("cache: no such object: {0}")]
    NotFound(String),
    /// The object has no byte in that range, or ends before the range does.
    #[error("cache: range not satisfiable: {0}")]
    RangeNotSatisfiable(String),
    /// The sidecar is well, but S3 did not give it the bytes: asking S3 oneself is not likely to go better.
    #[error("cache: the origin failed: {0}")]
    Origin(String),
    /// The sidecar does not have it, and was not to ask S3.
    #[error("not in this cache: {0}")]
    NotCached(String),
    /// No sidecar, a frozen one, or one that was skipped because of either: ask S3.
    #[error("cache unavailable: {0}")]
    Unavailable(String),
    /// An answer that does not keep the contract: ask S3.
    #[error("cache answer not understood: {0}")]
    Protocol(String),
}
