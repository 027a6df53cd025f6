//! What a caller can do when the metastore fails.

/// What a caller can do about a failure of Postgres.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetastoreError {
    /// No connection, server shutting down, pool exhausted, statement cancelled, deadlock: try again later.
    /// Whatever was under way may or may not have happened.
    #[error("postgres is not available: {0}")]
    Unavailable(String),
    /// Wrong user, password or database: somebody has to act.
    #[error("postgres refused access: {0}")]
    AccessDenied(String),
    /// The schema is missing, older or newer than this build.
    #[error("database schema: {0}")]
    Schema(String),
    /// A constraint of ours was violated, or a row does not decode: a bug.
    #[error("postgres: {0}")]
    Internal(String),
}
