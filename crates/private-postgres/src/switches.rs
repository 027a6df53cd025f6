//! Stopping, killing, freezing and starting again, for those who test what others make of it.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::leash::LeashedChild;
use crate::server::{Expected, LEFTOVER_GONE_WITHIN, spawn, wait_for_leftover};
use crate::{PrivatePostgres, PrivatePostgresError};

impl PrivatePostgres {
    /// Stops it in order: a fast shutdown, which ends open transactions and writes a checkpoint.
    pub fn stop(&self) -> io::Result<()> {
        let mut process = self.process();
        if process.expected == Expected::Paused {
            signal_all(&process.child, Signal::CONT)?;
        }
        process.expected = Expected::Ended;
        process.child.stop().map(drop)
    }

    /// Ends it with all its backends at once, as a power cut does; what was committed is recovered at the next start.
    pub fn kill(&self) -> io::Result<()> {
        let mut process = self.process();
        process.expected = Expected::Ended;
        let backends = backends(process.child.id());
        process.child.kill()?;
        for backend in backends {
            // Without its server it may have ended by itself.
            let _ = rustix::process::kill_process(backend, Signal::KILL);
        }
        Ok(())
    }

    /// Starts it again after `stop` or `kill`, on the same port, and waits until it answers. No-op while it runs.
    pub fn start_again(&self) -> Result<(), PrivatePostgresError> {
        let deadline = Instant::now() + LEFTOVER_GONE_WITHIN;
        loop {
            match self.try_start_again() {
                // The last backend of a killed server still holds the shared memory.
                Err(PrivatePostgresError::NotStarted { .. }) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(100));
                }
                result => return result,
            }
        }
    }

    fn try_start_again(&self) -> Result<(), PrivatePostgresError> {
        {
            let mut process = self.process();
            if process.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                return Ok(());
            }
            wait_for_leftover(&self.data_dir)?;
            process.child = spawn(&self.config, &self.binaries, self.run_as, &self.data_dir, self.port)?;
            process.expected = Expected::Starting;
        }
        self.wait_until_ready()?;
        let mut process = self.process();
        // Somebody may have stopped it meanwhile.
        if process.expected == Expected::Starting {
            process.expected = Expected::Running;
        }
        Ok(())
    }

    /// Freezes it and all its backends with SIGSTOP: connections stay, nothing answers.
    pub fn pause(&self) -> io::Result<()> {
        let mut process = self.process();
        signal_all(&process.child, Signal::STOP)?;
        process.expected = Expected::Paused;
        Ok(())
    }

    /// Lets it go on after `pause`.
    pub fn resume(&self) -> io::Result<()> {
        let mut process = self.process();
        if process.expected == Expected::Paused {
            signal_all(&process.child, Signal::CONT)?;
            process.expected = Expected::Running;
        }
        Ok(())
    }
}

/// The server first, so that it starts no further backend in between.
fn signal_all(server: &LeashedChild, signal: Signal) -> io::Result<()> {
    server.signal(signal)?;
    for backend in backends(server.id()) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(backend, signal);
    }
    Ok(())
}

/// The server's child processes; the watcher of its leash is one too, and none of them.
fn backends(server: u32) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
    let of_postgres =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("postgres"));
    let pids = children.split_whitespace().filter(of_postgres);
    pids.filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
