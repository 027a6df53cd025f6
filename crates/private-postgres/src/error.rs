//! Why there is no Postgres.

use std::io;
use std::path::PathBuf;

use crate::INSTALL_HINT;

/// A private Postgres could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    /// Nothing installed, or not where anybody installs it.
    #[error("no Postgres server found on this machine (looked for initdb in {looked_in}); {INSTALL_HINT}")]
    NotInstalled {
        /// The places that were searched.
        looked_in: String,
    },
    /// initdb and the server refuse to run as root, and there is no other user to run them as.
    #[error("Postgres does not run as root, and this machine has neither a user postgres nor a user nobody")]
    NoUnprivilegedUser,
    /// The data directory cannot be made or reached.
    #[error("cannot use {path} for Postgres: {source}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program beside the server could not be run or reported failure.
    #[error("{program} failed: {message}")]
    Program {
        /// `initdb`, `createdb`, ...
        program: &'static str,
        /// Its exit status and what it wrote to standard error.
        message: String,
    },
    /// The data directory has a server already.
    #[error("{path} is served by another Postgres (process {pid}); is another stack running on it?")]
    AlreadyRunning {
        /// The data directory.
        path: PathBuf,
        /// The other server.
        pid: i32,
    },
    /// The server ended, or never became ready.
    #[error("Postgres did not start ({reason}); the end of {log_file} says:\n{log_tail}")]
    NotStarted {
        /// How it ended.
        reason: String,
        /// Its log.
        log_file: PathBuf,
        /// The last lines there.
        log_tail: String,
    },
}
