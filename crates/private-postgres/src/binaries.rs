//! Where the machine keeps its Postgres.
//!
//! Debian and Ubuntu keep the server out of PATH, one folder per version; other systems put it elsewhere. We take the
//! first folder that has all programs we run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PrivatePostgresError;

/// What to do about a missing Postgres, as one line for a human.
pub const INSTALL_HINT: &str = "install it, for example with: apt-get install --no-install-recommends postgresql";

const NEEDED: [&str; 5] = ["initdb", "postgres", "createdb", "pg_isready", "psql"];

/// A folder with a complete set of Postgres programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Looks in PATH, then where packages install, newest version first.
    pub fn find() -> Result<Self, PrivatePostgresError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
        places.extend(pg_config_bindir());
        places.extend(versioned("/usr/lib/postgresql", "bin"));
        places.extend(versioned("/opt/homebrew/opt", "bin"));
        places.extend(versioned("/usr/local/opt", "bin"));
        places.extend(["/usr/pgsql/bin", "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
        Self::first_complete(&places)
    }

    fn first_complete(places: &[PathBuf]) -> Result<Self, PrivatePostgresError> {
        let complete = |place: &&PathBuf| NEEDED.iter().all(|program| place.join(program).is_file());
        places
            .iter()
            .find(complete)
            .cloned()
            .map(Self)
            .ok_or_else(|| PrivatePostgresError::NotInstalled {
                looked_in: "PATH, `pg_config --bindir`, /usr/lib/postgresql, /opt/homebrew and /usr/local".to_owned(),
            })
    }

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.0
    }
}

/// Where the installed development files say the server is; often the one that PATH hides.
fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

/// `<root>/<version>/<leaf>` for every version there, the highest first; `postgresql@16` counts as 16.
fn versioned(root: &str, leaf: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path().join(leaf))))
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}

fn version(folder: &str) -> Option<u32> {
    folder.trim_start_matches("postgresql@").split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_a_server_are_passed_over() {
        let nowhere = [PathBuf::from("/nonexistent"), env::temp_dir()];
        let error = Binaries::first_complete(&nowhere).unwrap_err();
        assert!(error.to_string().contains("apt-get install"), "{error}");
    }

    #[test]
    fn version_folders_are_read_as_numbers() {
        assert_eq!(version("16"), Some(16));
        assert_eq!(version("9.6"), Some(9));
        assert_eq!(version("postgresql@17"), Some(17));
        assert_eq!(version("openssl@3.1"), None);
    }
}
