//! A Prometheus of our own: Debian's program, our ports.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use private_postgres::free_port;
use serde_json::Value;
use types::{Clock, SystemClock};

use crate::kafka::PATIENCE;
use crate::running::{binaries, http_get, try_http_get};

/// One series of an answer, as `(seconds since 1970, value)`; what is no number is left out.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A running server; it dies with this.
pub(super) struct Prometheus {
    child: Child,
    port: u16,
    /// Seconds since 1970.
    started: u64,
    _data: tempfile::TempDir,
}

/// The program: of the system, or where `crates/dev-stack/prometheus.sh` has put it.
#[expect(clippy::print_stderr, reason = "a test that is left out has to say so")]
pub(super) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = binaries().join("../prometheus/usr/bin");
    let folders = std::env::split_paths(&path).chain([ours]);
    let found = folders
        .map(|folder| folder.join("prometheus"))
        .find(|program| program.is_file());
    if found.is_none() {
        let missing = "no prometheus is installed (crates/dev-stack/prometheus.sh)";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}: nobody looks whether the dashboard's panels have data");
    }
    found
}

impl Prometheus {
    /// Starts one that scrapes jobs of ports every second, and waits until it answers.
    pub(super) fn start(program: &Path, jobs: &[(&str, Vec<u16>)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = "global:\n  scrape_interval: 1s\nscrape_configs:\n".to_owned();
        for (job, ports) in jobs {
            let targets: Vec<String> = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
            write!(
                config,
                "  - job_name: {job}\n    static_configs: [{{ targets: [{}] }}]\n",
                targets.join(", ")
            )
            .unwrap();
        }
        let file = data.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let port = free_port().unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self {
            child,
            port,
            started: now(),
            _data: data,
        };
        started.wait_until_ready();
        started
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !try_http_get(self.port, "/-/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.0 200")) {
            assert!(Instant::now() < deadline, "prometheus is not ready");
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
    }

    /// What it answers to `question` for the time since it was started, one value a second.
    pub(super) fn ask(&self, question: &str, legend: &str) -> Vec<Line> {
        let query = utf8_percent_encode(question, NON_ALPHANUMERIC);
        let path = format!(
            "/api/v1/query_range?query={query}&start={}&end={}&step=1",
            self.started,
            now()
        );
        let answer: Value = serde_json::from_str(&http_get(self.port, &path)).unwrap();
        assert_eq!(answer["status"], "success", "{question}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap().iter();
        series
            .map(|series| Line {
                name: name(legend, &series["metric"]),
                points: points(&series["values"]),
            })
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> u64 {
    u64::try_from(SystemClock.now().0 / 1000).unwrap()
}

/// As Grafana fills in a legend.
fn name(legend: &str, labels: &Value) -> String {
    let labels = labels.as_object().unwrap().iter();
    labels.fold(legend.to_owned(), |name, (label, value)| {
        name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap())
    })
}

fn points(values: &Value) -> Vec<(f64, f64)> {
    let point = |pair: &Value| {
        let value: f64 = pair[1].as_str()?.parse().ok()?;
        Some((pair[0].as_f64()?, value)).filter(|_| value.is_finite())
    };
    values.as_array().unwrap().iter().filter_map(point).collect()
}
