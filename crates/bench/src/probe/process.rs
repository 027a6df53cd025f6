//! What a process has used so far, from /proc: processor time of all threads, memory, context switches.
//!
//! <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A process to watch, written `NAME=PID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What it is called in the report; several of one name are added up.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text
            .split_once('=')
            .ok_or_else(|| format!("'{text}' is not NAME=PID"))?;
        let pid = pid.parse().map_err(|_| format!("'{pid}' is no process id"))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
        })
    }
}

/// What it has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of all threads, those that have ended too; user and system.
    pub cpu: Duration,
    /// Memory now.
    pub rss_bytes: u64,
    /// Memory at most, since the peak was last forgotten.
    pub rss_bytes_peak: u64,
    /// Of the threads that live.
    pub context_switches: u64,
}

impl Process {
    /// The one that runs this code.
    pub fn own(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            pid: std::process::id(),
        }
    }

    /// Forgets the peak of its memory, where we may; where not, it is that since its start.
    pub fn forget_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    /// Reads what it has used.
    pub fn usage(&self) -> Result<Usage> {
        let folder = format!("/proc/{}", self.pid);
        let read = |file: &str| {
            fs::read_to_string(format!("{folder}/{file}"))
                .with_context(|| format!("{} (process {}) cannot be looked at: is it gone?", self.name, self.pid))
        };
        let ticks_per_s = rustix::param::clock_ticks_per_second();
        let cpu = cpu_ticks(&read("stat")?).with_context(|| format!("{folder}/stat is not understood"))?;
        let status = read("status")?;
        let threads = fs::read_dir(format!("{folder}/task")).into_iter().flatten().flatten();
        let switches = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
        Ok(Usage {
            cpu: Duration::from_secs_f64(cpu as f64 / ticks_per_s as f64),
            rss_bytes: field(&status, "VmRSS").unwrap_or_default() * 1024,
            rss_bytes_peak: field(&status, "VmHWM").unwrap_or_default() * 1024,
            context_switches: switches.map(|status| context_switches(&status)).sum(),
        })
    }
}

/// utime and stime. The name, in brackets, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A number of /proc/PID/status.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn context_switches(status: &str) -> u64 {
    let count = |name| field(status, name).unwrap_or_default();
    count("voluntary_ctxt_switches") + count("nonvoluntary_ctxt_switches")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b ( c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 3 0 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn memory_and_switches_are_found_by_name() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(
            (field(status, "VmRSS"), field(status, "VmHWM")),
            (Some(1024), Some(2048))
        );
        assert_eq!(context_switches(status), 12);
    }

    #[test]
    fn a_process_that_works_is_seen_to_work() {
        let own = Process::own("test");
        let before = own.usage().unwrap();
        let mut sum = 0u64;
        while own.usage().unwrap().cpu == before.cpu {
            sum = (0..100_000u64).fold(sum, u64::wrapping_add);
        }
        assert!(before.rss_bytes > 0, "{before:?} {sum}");
        assert!("agent=1".parse::<Process>().is_ok() && "agent".parse::<Process>().is_err());
    }
}
