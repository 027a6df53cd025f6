//! A whole stack for a test, with the switches that tests need. Everything blocks: librdkafka does too.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dev_stack::Switch;
use dev_stack::config::StackConfig;
use dev_stack::events::EventFaults;
use dev_stack::stack::Stack;
use oracle::{Oracle, OracleConfig, Report};
use rustix::process::{Pid, Signal};
use tokio::runtime::Runtime;

use crate::kafka::{Kafka, PATIENCE};

/// A running stack; dropping it stops it in order and removes its data.
pub(crate) struct Running {
    stack: Option<Stack>,
    admin_ports: Vec<u16>,
    runtime: Runtime,
    oracle_dir: tempfile::TempDir,
    data_dir: Option<tempfile::TempDir>,
}

/// The stack of all tests that only want a healthy one. It ends with the process: its parts are on a leash.
pub(crate) fn shared() -> &'static Running {
    static SHARED: LazyLock<Running> = LazyLock::new(|| Running::start(1, |_| ()));
    &SHARED
}

/// Sets a variable of the agents.
pub(crate) fn agent_env(config: &mut StackConfig, name: &str, value: &str) {
    config.agent_env.push((name.to_owned(), value.to_owned()));
}

/// Sets a variable of agent `n` alone.
pub(crate) fn agent_env_of(config: &mut StackConfig, n: usize, name: &str, value: &str) {
    let each = &mut config.agent_env_each;
    each.resize(each.len().max(n + 1), Vec::new());
    each[n].push((name.to_owned(), value.to_owned()));
}

/// The body of what is served at `path` of a port of this machine.
pub(crate) fn http_get(port: u16, path: &str) -> String {
    let answer = try_http_get(port, path).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    body.to_owned()
}

/// The whole answer, head and all.
pub(crate) fn try_http_get(port: u16, path: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    write!(socket, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Running {
    /// Starts `agents` agents and all they need, with data of their own.
    pub(crate) fn start(agents: u16, change: impl FnOnce(&mut StackConfig)) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let mut running = Self::start_in(data_dir.path(), agents, change);
        running.data_dir = Some(data_dir);
        running
    }

    /// The same, over the data of an earlier stack.
    pub(crate) fn start_in(data_dir: &Path, agents: u16, change: impl FnOnce(&mut StackConfig)) -> Self {
        let mut config = StackConfig::for_tests(agents, binaries()).unwrap();
        config.data_dir = data_dir.join("stack");
        change(&mut config);
        let admin_ports = config.agents.iter().map(|agent| agent.admin).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let stack = runtime.block_on(Stack::start(config)).unwrap();
        Self {
            stack: Some(stack),
            admin_ports,
            runtime,
            oracle_dir: tempfile::tempdir().unwrap(),
            data_dir: None,
        }
    }

    /// What it runs.
    pub(crate) fn stack(&self) -> &Stack {
        self.stack.as_ref().expect("only drop takes it")
    }

    /// The cluster, bootstrapped from every agent.
    pub(crate) fn kafka(&self) -> Kafka {
        Kafka::new(self.stack().bootstrap())
    }

    /// The cluster, bootstrapped from agent `n`.
    pub(crate) fn kafka_at(&self, n: usize) -> Kafka {
        Kafka::new(self.brokers()[n].clone())
    }

    /// The agent that took a group last.
    pub(crate) fn coordinator(&self, group: &str) -> usize {
        let query = format!("SELECT coordinator_node FROM consumer_groups WHERE group_id = '{group}'");
        let mut psql = self.stack().postgres().client("psql");
        psql.args(["-At", "-c", &query, &self.stack().postgres_url()]);
        let printed = String::from_utf8(psql.output().unwrap().stdout).unwrap();
        printed.trim().parse().expect("the group has a row")
    }

    /// Address of each agent.
    pub(crate) fn brokers(&self) -> Vec<String> {
        self.stack().bootstrap().split(',').map(str::to_owned).collect()
    }

    /// What may go wrong with events.
    pub(crate) fn faults(&self) -> &EventFaults {
        self.stack().events().faults()
    }

    /// Keeps events in the queue, or lets them go.
    pub(crate) fn hold_events(&self, on: bool) {
        self.stack().hold_events(on);
    }

    /// Waits until the function has dealt with every event.
    pub(crate) fn wait_until_no_event_waits(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stack().events().is_empty() {
            assert!(Instant::now() < deadline, "events wait still");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Stops the function; events wait.
    pub(crate) fn stop_function(&self) {
        self.runtime.block_on(self.stack().stop_function());
    }

    /// Starts it again.
    pub(crate) fn start_function(&self) {
        self.runtime.block_on(self.stack().start_function()).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill_agent(&self, n: usize) {
        self.runtime.block_on(self.stack().kill_agent(n));
    }

    /// Starts it again and waits until it is ready.
    pub(crate) fn start_agent(&self, n: usize) {
        self.runtime.block_on(self.stack().start_agent(n)).unwrap();
    }

    /// The process id of agent `n`.
    pub(crate) fn agent_pid(&self, n: usize) -> u32 {
        self.runtime.block_on(self.stack().agent_pid(n)).unwrap()
    }

    /// The memory that agent `n` takes at most so far.
    pub(crate) fn agent_memory_mib(&self, n: usize) -> u64 {
        let pid = self.agent_pid(n);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
    }

    /// Sends a signal to agent `n`, which knows nothing of it with SIGSTOP and SIGCONT.
    pub(crate) fn signal_agent(&self, n: usize, signal: Signal) {
        send(self.runtime.block_on(self.stack().agent_pid(n)).unwrap(), signal);
    }

    /// Sends a signal to the Postgres server and then to all it has started.
    pub(crate) fn signal_postgres(&self, signal: Signal) {
        let server = self.stack().postgres().id();
        send(server, signal);
        let backends = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        for backend in backends.split_whitespace() {
            send(backend.parse().unwrap(), signal);
        }
    }

    /// All that is served at `/metrics` of `port`.
    pub(crate) fn scrape(&self, port: u16) -> String {
        http_get(port, "/metrics")
    }

    /// The sum of a metric of agent `n` over its labels; 0 before it was first counted.
    pub(crate) fn metric_of_agent(&self, n: usize, name: &str) -> f64 {
        let answer = self.scrape(self.stack().config().agents[n].admin);
        let of_metric = answer
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        of_metric
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// SIGTERM, and the wait for an orderly end; how it ended.
    pub(crate) fn stop_agent(&self, n: usize) -> String {
        self.runtime.block_on(self.stack().stop_agent(n)).unwrap()
    }

    /// Turns a switch of Postgres.
    pub(crate) fn switch_postgres(&self, switch: Switch) {
        self.runtime.block_on(self.stack().switch_postgres(switch)).unwrap();
    }

    /// Turns a switch of the sidecar of agent `n`.
    pub(crate) fn switch_sidecar(&self, n: usize, switch: Switch) {
        self.runtime.block_on(self.stack().switch_sidecar(n, switch)).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill_sidecar(&self, n: usize) {
        self.runtime.block_on(self.stack().kill_sidecar(n));
    }

    /// Waits until agent `n` shows a value of `metric` (name and labels as Prometheus has them) that is `good`.
    pub(crate) fn wait_for_metric(&self, n: usize, metric: &str, good: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.metric(n, metric);
            if shown.is_some_and(&good) {
                return;
            }
            assert!(Instant::now() < deadline, "{metric} is {shown:?}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    pub(crate) fn metric(&self, n: usize, metric: &str) -> Option<f64> {
        let answer = self.scrape(self.admin_ports[n]);
        let mut values = answer.lines().filter_map(|line| line.strip_prefix(metric));
        values.find_map(|value| value.trim().parse().ok())
    }

    /// Waits until some part has logged a line that contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !logs(&self.stack().log_dir()).iter().any(|(_, log)| log.contains(text)) {
            assert!(Instant::now() < deadline, "nobody logged '{text}'");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// A run of the oracle as the README shows it, with changes.
    pub(crate) fn oracle(&self, change: impl FnOnce(&mut OracleConfig)) -> Report {
        self.oracle_during(change, |_| ())
    }

    /// The same; `meanwhile` runs while the producers write.
    pub(crate) fn oracle_during(
        &self,
        change: impl FnOnce(&mut OracleConfig),
        meanwhile: impl FnOnce(&Oracle),
    ) -> Report {
        let mut config = OracleConfig {
            brokers: self.brokers(),
            consume_timeout: Duration::from_secs(60),
            data_dir: self.oracle_dir.path().to_owned(),
            ..OracleConfig::default()
        };
        change(&mut config);
        let oracle = Oracle::open(config).unwrap();
        oracle.create_topics().unwrap();
        std::thread::scope(|scope| {
            let producers = scope.spawn(|| oracle.produce(&|_| ()));
            meanwhile(&oracle);
            producers.join().unwrap().unwrap();
        });
        oracle.verify(&|_| ()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stack) = self.stack.take() {
            if std::thread::panicking() {
                show_logs(&stack.log_dir());
            }
            self.runtime.block_on(stack.stop(&|_, _| {}));
        }
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A failed test's stack is gone with its data: what its parts said last stays in the output.
#[expect(clippy::print_stderr, reason = "this is the output of a test that failed")]
fn show_logs(log_dir: &Path) {
    for (path, log) in logs(log_dir) {
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(30)..];
        eprintln!("--- {}\n{}", path.display(), last.join("\n"));
    }
}

fn logs(log_dir: &Path) -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(log_dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    files
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

/// The programs that cargo built beside this test; `make test` builds them first.
pub(crate) fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}
