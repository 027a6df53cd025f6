//! The directory that everything lies in, and the lock that keeps a second stack out of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock, statvfs};

/// With less, Postgres or S3 would soon fail in a less readable way.
const FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;

/// The directory, ours alone while this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Held by being open; not inherited by children, so it is free when we are gone, however we went.
    _lock: File,
}

impl DataDir {
    /// Makes or takes over the directory; logs of the last run are deleted.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unusable = || format!("cannot use {} (made by another user?)", path.display());
        fs::create_dir_all(path).with_context(unusable)?;
        let path = fs::canonicalize(path).with_context(unusable)?;
        let lock = File::create(path.join("lock")).with_context(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                bail!("another stack runs on {}: stop it first", path.display())
            }
            result => result.map_err(io::Error::from).with_context(unusable)?,
        }
        check_space(&path)?;
        let log = path.join("log");
        if log.exists() {
            fs::remove_dir_all(&log).with_context(unusable)?;
        }
        fs::create_dir_all(&log).with_context(unusable)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.path.join("log").join(format!("{part}.log"))
    }
}

fn check_space(path: &Path) -> Result<()> {
    let Ok(space) = statvfs(path) else { return Ok(()) };
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    ensure!(
        free_bytes >= FREE_BYTES_MIN,
        "only {} MiB are free on the disk of {}, and {} MiB are needed",
        free_bytes >> 20,
        path.display(),
        FREE_BYTES_MIN >> 20
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_stack_is_kept_out_until_the_first_is_gone() {
        let path = std::env::temp_dir().join(format!("yaks-data-dir-{}", uuid::Uuid::now_v7()));
        let first = DataDir::open(&path).unwrap();
        let said = DataDir::open(&path).unwrap_err().to_string();
        assert!(said.contains("another stack"), "{said}");
        drop(first);
        DataDir::open(&path).unwrap();
        fs::remove_dir_all(path).unwrap();
    }
}
