//! Limits of the operating system.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of files (sockets) this process may have open to the most it is allowed: shells and ECS start
/// processes with 1024, which a broker with 10,000 idle connections runs into. Returns the limit in force.
pub fn raise_nofile_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, limit = limit.current, "the limit of open files cannot be raised");
    }
    let in_force = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    tracing::debug!(limit = in_force, "open files");
    in_force
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let in_force = raise_nofile_limit();
        assert_eq!(Some(in_force), getrlimit(Resource::Nofile).maximum.or(Some(u64::MAX)));
    }
}
