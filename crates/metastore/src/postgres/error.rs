//! SQL errors become domain errors here and nowhere else.

use crate::{GroupWriteError, LeaseError, MetastoreError};

/// SQLSTATE classes and codes that pass by themselves (PostgreSQL manual, appendix A).
mod sqlstate {
    pub(super) const CONNECTION_EXCEPTION: &str = "08";
    pub(super) const TRANSACTION_ROLLBACK: &str = "40";
    pub(super) const INSUFFICIENT_RESOURCES: &str = "53";
    pub(super) const OPERATOR_INTERVENTION: &str = "57";
    pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
    pub(super) const IDLE_IN_TRANSACTION_TIMEOUT: &str = "25P03";
    pub(super) const READ_ONLY_TRANSACTION: &str = "25006";
    pub(super) const INVALID_AUTHORIZATION: &str = "28";
    pub(super) const INVALID_CATALOG: &str = "3D000";
    pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub(super) const UNDEFINED_TABLE: &str = "42P01";
    pub(super) const UNDEFINED_COLUMN: &str = "42703";
    pub(super) const UNDEFINED_FUNCTION: &str = "42883";
}

impl From<sqlx::Error> for MetastoreError {
    fn from(error: sqlx::Error) -> Self {
        let message = error.to_string();
        if let sqlx::Error::Database(database) = &error {
            return from_sqlstate(database.code().as_deref().unwrap_or_default(), message);
        }
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(message),
            _ => Self::Internal(message),
        }
    }
}

fn from_sqlstate(code: &str, message: String) -> MetastoreError {
    use sqlstate::*;
    let class = code.get(..2).unwrap_or_default();
    match code {
        LOCK_NOT_AVAILABLE | IDLE_IN_TRANSACTION_TIMEOUT | READ_ONLY_TRANSACTION => {
            MetastoreError::Unavailable(message)
        }
        INVALID_CATALOG | INSUFFICIENT_PRIVILEGE => MetastoreError::AccessDenied(message),
        UNDEFINED_TABLE | UNDEFINED_COLUMN | UNDEFINED_FUNCTION => {
            MetastoreError::Schema(format!("{message} (run `yaks-agent migrate`)"))
        }
        _ => match class {
            CONNECTION_EXCEPTION | TRANSACTION_ROLLBACK | INSUFFICIENT_RESOURCES | OPERATOR_INTERVENTION => {
                MetastoreError::Unavailable(message)
            }
            INVALID_AUTHORIZATION => MetastoreError::AccessDenied(message),
            _ => MetastoreError::Internal(message),
        },
    }
}

impl From<sqlx::Error> for GroupWriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Metastore(error.into())
    }
}

impl From<sqlx::Error> for LeaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Metastore(error.into())
    }
}
