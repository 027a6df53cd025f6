//! Whom Postgres runs as: ourselves, or, since it refuses root, an unprivileged user that root can become.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::PrivatePostgresError;

/// The user of the server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunAs {
    Ourselves,
    Other { uid: u32, gid: u32 },
}

impl RunAs {
    /// As root: the owner of the cluster that is there, else `postgres`, else `nobody`.
    pub(crate) fn choose(data_dir: &Path) -> Result<Self, PrivatePostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        if let Some(owner) = owner_of_cluster(data_dir) {
            return Ok(owner);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| find_user(&passwd, name))
            .ok_or(PrivatePostgresError::NoUnprivilegedUser)
    }

    /// Makes `command` run as this user; the caller's supplementary groups are dropped with it.
    pub(crate) fn apply(self, command: &mut Command) {
        // The caller's working directory may be one that the other user cannot enter.
        command.current_dir("/");
        if let Self::Other { uid, gid } = self {
            command.gid(gid).uid(uid);
        }
    }

    /// Gives `path` to this user.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }

    /// Whether this user can enter `directory`: a folder above it (`/root`) may be closed to it.
    pub(crate) fn can_enter(self, directory: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(directory)
            .stderr(Stdio::null());
        self.apply(&mut command);
        command.status().is_ok_and(|status| status.success())
    }
}

fn owner_of_cluster(data_dir: &Path) -> Option<RunAs> {
    let file = fs::metadata(data_dir.join("PG_VERSION")).ok()?;
    (file.uid() != 0).then_some(RunAs::Other {
        uid: file.uid(),
        gid: file.gid(),
    })
}

fn find_user(passwd: &str, name: &str) -> Option<RunAs> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(RunAs::Other { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "postgres-old:x:7:8::/:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(find_user(passwd, "postgres"), Some(RunAs::Other { uid: 101, gid: 104 }));
        assert_eq!(find_user(passwd, "nobody"), None);
    }
}
