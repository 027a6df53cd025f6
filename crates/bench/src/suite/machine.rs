//! What was measured on, for whoever compares.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// A machine, a version and a day.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// Memory.
    pub ram_gib: f64,
    /// The kernel.
    pub kernel: String,
    /// What was measured.
    pub yaks: String,
    /// And with what.
    pub librdkafka: String,
    /// And the database of the stack.
    pub postgres: String,
    /// YYYY-MM-DD, in UTC.
    pub date: String,
    /// Processes that wanted a core when it began, on average of a minute: a busy machine measures itself.
    pub load: String,
}

impl Machine {
    /// This one, now.
    pub fn this() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        Self {
            cpu: value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            ram_gib: kib(&read("/proc/meminfo"), "MemTotal") / f64::from(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            yaks: version(),
            librdkafka,
            postgres: said("postgres", &["--version"]).unwrap_or_else(installed_postgres),
            date: said("date", &["-u", "+%F"]).unwrap_or_else(|| "an unknown day".to_owned()),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        let Self {
            cpu,
            cores,
            ram_gib,
            kernel,
            yaks,
            librdkafka,
            postgres,
            date,
            load,
        } = self;
        format!(
            "Measured on {date} with yaks {yaks}, librdkafka {librdkafka} and {postgres} on {cores} cores of {cpu}, \
             {ram_gib:.0} GiB of memory, Linux {kernel}; generator, broker, Postgres and S3 share them. Load before it began: {load}."
        )
    }
}

/// The commit, where there is git.
fn version() -> String {
    let package = env!("CARGO_PKG_VERSION");
    let commit = said("git", &["describe", "--always", "--dirty"]);
    commit.map_or_else(|| package.to_owned(), |commit| format!("{package} ({commit})"))
}

fn installed_postgres() -> String {
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .max();
    let program = |folder: std::path::PathBuf| folder.join("bin/postgres");
    let found = newest
        .map(program)
        .filter(|program: &std::path::PathBuf| Path::exists(program));
    found
        .and_then(|program| said(&program.to_string_lossy(), &["--version"]))
        .unwrap_or_else(|| "Postgres".to_owned())
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn value(text: &str, name: &str) -> Option<String> {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    found.map(|found| found.trim().to_owned())
}

fn kib(text: &str, name: &str) -> f64 {
    let found = value(text, name).unwrap_or_default();
    found
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_can_be_told_from_another() {
        let machine = Machine::this();
        assert!(machine.cores >= 1 && !machine.cpu.is_empty(), "{machine:?}");
        assert_eq!(value("model name\t: A B\n", "model name").as_deref(), Some("A B"));
        assert_eq!(kib("MemTotal:   2048 kB\n", "MemTotal"), 2048.0);
    }
}
