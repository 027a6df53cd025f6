//! The data directory: where it can lie, and what initdb makes in it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::user::RunAs;
use crate::{Binaries, PrivatePostgresConfig, PrivatePostgresError};

/// Where clusters go whose own place cannot be entered by the user that Postgres has to run as.
const ELSEWHERE: &str = "/var/lib/yaks";

/// Makes `wanted` a directory of the user and returns where it really is. If that user cannot get there (a checkout
/// below `/root`), the directory lies under `/var/lib/yaks`, and `wanted` becomes a symlink to it.
pub(crate) fn settle(wanted: &Path, run_as: RunAs) -> Result<PathBuf, PrivatePostgresError> {
    let failed = |source| PrivatePostgresError::Directory {
        path: wanted.to_owned(),
        source,
    };
    if let Ok(target) = fs::read_link(wanted) {
        return make(&target, run_as).map(|()| target).map_err(failed);
    }
    make(wanted, run_as).map_err(failed)?;
    let wanted = fs::canonicalize(wanted).map_err(failed)?;
    if run_as.can_enter(&wanted) {
        return Ok(wanted);
    }
    let target = elsewhere(&wanted);
    let moved = make(&target, run_as)
        .and_then(|()| fs::remove_dir(&wanted))
        .and_then(|()| symlink(&target, &wanted));
    moved.map_err(failed)?;
    Ok(target)
}

/// Makes a directory that was not there before (or is a leftover of a process with our number) and that the user can
/// enter.
pub(crate) fn fresh(directory: &Path, run_as: RunAs) -> Result<PathBuf, PrivatePostgresError> {
    let failed = |source| PrivatePostgresError::Directory {
        path: directory.to_owned(),
        source,
    };
    let _ = fs::remove_dir_all(directory);
    make(directory, run_as).map_err(failed)?;
    if run_as.can_enter(directory) {
        return Ok(directory.to_owned());
    }
    let _ = fs::remove_dir(directory);
    Err(failed(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "the user that Postgres runs as cannot enter it",
    )))
}

fn make(directory: &Path, run_as: RunAs) -> io::Result<()> {
    if directory.is_dir() {
        return run_as.own(directory);
    }
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new().mode(0o700).create(directory)?;
    run_as.own(directory)
}

fn elsewhere(wanted: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    Path::new(ELSEWHERE).join(format!("{:016x}", hasher.finish()))
}

/// Runs initdb unless the directory has a cluster already.
pub(crate) fn initialise(
    binaries: &Binaries,
    run_as: RunAs,
    data_dir: &Path,
    config: &PrivatePostgresConfig,
) -> Result<(), PrivatePostgresError> {
    if data_dir.join("PG_VERSION").exists() {
        return Ok(());
    }
    let password_file = data_dir.with_extension("password");
    let failed = |source| PrivatePostgresError::Directory {
        path: password_file.clone(),
        source,
    };
    write_private(&password_file, config.password.expose(), run_as).map_err(failed)?;
    let mut command = Command::new(binaries.program("initdb"));
    command.args([
        "--encoding=UTF8",
        "--no-locale",
        "--auth=scram-sha-256",
        "--no-instructions",
    ]);
    command
        .arg(format!("--username={}", config.user))
        .arg("--pgdata")
        .arg(data_dir);
    command.arg(format!("--pwfile={}", password_file.display()));
    if !config.sync_new_cluster {
        command.arg("--no-sync");
    }
    run_as.apply(&mut command);
    let result = run("initdb", command);
    let _ = fs::remove_file(&password_file);
    result.inspect_err(|_| empty(data_dir))
}

/// A half-made cluster would be taken for a whole one by the next start.
fn empty(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let _ = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
    }
}

fn write_private(path: &Path, text: &str, run_as: RunAs) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    run_as.own(path)
}

/// The server process that has the directory, if one lives. A pid file without its process is Postgres's own business.
pub(crate) fn running_server(data_dir: &Path) -> Option<i32> {
    let text = fs::read_to_string(data_dir.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    // The server's working directory is its data directory: without this a recycled pid would look like it.
    let its_directory = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (its_directory == fs::canonicalize(data_dir).ok()?).then_some(pid)
}

/// Runs a program to its end; what it wrote to standard error is the error's message.
pub(crate) fn run(program: &'static str, mut command: Command) -> Result<(), PrivatePostgresError> {
    let failed = |message| PrivatePostgresError::Program { program, message };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!(
        "{}: {}",
        crate::leash::describe(output.status),
        said.trim()
    )))
}
