//! The stack as a supervisor, with stand-ins for the deployables (`examples/stand_in.rs`).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dev_stack::outside::OutsideStack;
use dev_stack::{OutsideAws, Stack, StackConfig};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// A folder with the stand-ins under the names of the deployables, and room for data. Deleted when dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("yaks-place-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir_all(path.join("bin")).unwrap();
        let test = std::env::current_exe().unwrap();
        let stand_in = test.parent().unwrap().parent().unwrap().join("examples/stand_in");
        assert!(stand_in.exists(), "build it first: cargo build -p dev-stack --examples");
        for name in ["yaks-agent", "yaks-cache", "yaks-materializer"] {
            std::os::unix::fs::symlink(&stand_in, path.join("bin").join(name)).unwrap();
        }
        Self(path)
    }

    fn config(&self, agents: u16) -> StackConfig {
        let mut config = StackConfig::for_tests(agents, self.0.join("bin")).unwrap();
        config.data_dir = self.data();
        config
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self, part: &str) -> String {
        fs::read_to_string(self.data().join("log").join(format!("{part}.log"))).unwrap_or_default()
    }

    /// Process ids of all parts that said theirs.
    fn pids(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        for entry in fs::read_dir(self.data().join("log")).unwrap() {
            let log = fs::read_to_string(entry.unwrap().path()).unwrap();
            pids.extend(
                log.lines()
                    .filter_map(|line| line.rsplit_once("runs as process ")?.1.trim().parse::<u32>().ok()),
            );
        }
        let postmaster = fs::read_to_string(self.data().join("postgres/postmaster.pid")).unwrap_or_default();
        pids.extend(postmaster.lines().next().and_then(|line| line.parse::<u32>().ok()));
        pids
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn fetch(url: String) -> String {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(url.parse().unwrap()).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn post(stack: &Stack, path: &str) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let url = format!("http://127.0.0.1:{}{path}", stack.config().dev_port);
    let request = http::Request::post(url).body(Empty::new()).unwrap();
    let answer = client.request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// `S`, `R`, `T` for stopped.
fn state_of(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("State:"))
        .unwrap_or_default();
    line.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_part_can_be_frozen_killed_and_started_through_the_stacks_own_port() {
    let place = Place::new();
    let stack = Stack::start(place.config(1)).await.unwrap();
    let turn = async |path: &str| assert_eq!(post(&stack, path).await.0, 200, "{path}");
    let agent = stack.agent_pid(0).await.unwrap();
    let processes = fetch(format!("http://127.0.0.1:{}/processes", stack.config().dev_port)).await;
    assert!(
        processes.lines().any(|line| line == format!("agent-0 {agent}")),
        "{processes}"
    );
    assert!(processes.contains("sidecar-0 "), "{processes}");
    turn("/agents/0/pause").await;
    eventually("the agent is frozen", || state_of(agent) == "T");
    turn("/agents/0/resume").await;
    eventually("the agent goes on", || state_of(agent) == "S");
    turn("/agents/0/kill").await;
    assert!(!runs(agent));
    turn("/agents/0/start").await;
    assert_ne!(stack.agent_pid(0).await, Some(agent));
    turn("/sidecars/0/stop").await;
    turn("/sidecars/0/start").await;

    let postgres = stack.postgres().id();
    turn("/postgres/pause").await;
    eventually("Postgres is frozen", || state_of(postgres) == "T");
    turn("/postgres/resume").await;
    turn("/postgres/kill").await;
    assert!(!runs(postgres));
    turn("/postgres/start").await;
    turn("/postgres/stop").await;
    turn("/postgres/start").await;
    turn("/function/kill").await;
    turn("/function/stop").await;
    turn("/function/start").await;
    assert_eq!(post(&stack, "/agents/7/kill").await.0, 500);
    assert_eq!(post(&stack, "/agents/0/tickle").await.0, 404);
    let death = tokio::time::timeout(Duration::from_millis(300), stack.died()).await;
    assert!(death.is_err(), "what was asked for is no death: {death:?}");
    stack.stop(&|_, _| {}).await;
}

#[tokio::test]
async fn faults_of_s3_and_of_events_are_set_through_the_stacks_own_port() {
    let place = Place::new();
    let mut config = place.config(1);
    config.s3_faults = vec!["list:fail=1".parse().unwrap()];
    let stack = Stack::start(config).await.unwrap();
    for (path, status) in [
        ("/s3/put:lost=0.5", 200),
        ("/s3/lost=2", 404),
        ("/s3/latency/standard", 200),
        ("/s3/latency/slow", 404),
        ("/s3/outage/silent", 200),
        ("/s3/outage/off", 200),
        ("/s3/outage/soon", 404),
        ("/events/drop/0.5", 200),
        ("/events/reorder/on", 200),
        ("/events/hold/on", 200),
        ("/events/explode/on", 404),
        ("/events/drop/2", 404),
    ] {
        assert_eq!(post(&stack, path).await.0, status, "{path}");
    }
    let list = || fetch(format!("{}/test-bucket/", stack.s3_endpoint()));
    assert!(list().await.contains("injected"));
    assert_eq!(post(&stack, "/heal").await.0, 200);
    assert!(!list().await.contains("injected"));
    let metrics = fetch(format!("http://127.0.0.1:{}/metrics", stack.config().dev_port)).await;
    assert!(
        metrics.contains("yaks_dev_s3_faults_total{operation=\"List\",fault=\"Fail\"} 1"),
        "{metrics}"
    );
    stack.stop(&|_, _| {}).await;
}

#[tokio::test]
async fn parts_start_in_order_know_each_other_and_stop_in_the_opposite_order() {
    let place = Place::new();
    let said = Mutex::new(Vec::new());
    let report = |part: &str, _: &str| said.lock().unwrap().push(part.to_owned());
    let stack = Stack::start_reporting(place.config(2), &report).await.unwrap();
    let order = [
        "postgres",
        "migrations",
        "s3",
        "function",
        "sidecar 0",
        "sidecar 1",
        "agent 0",
        "agent 1",
    ];
    assert_eq!(*said.lock().unwrap(), order);

    let ports = stack.config().agents[1];
    let environment = fetch(format!("http://127.0.0.1:{}/env", ports.admin)).await;
    for line in [
        "YAKS_NODE_ID=1".to_owned(),
        format!("YAKS_BROKER_PORT={}", ports.kafka),
        format!("YAKS_CACHE_URL=http://127.0.0.1:{}", ports.sidecar),
        format!("YAKS_S3_ENDPOINT={}", stack.s3_endpoint()),
        format!("YAKS_DB_PORT={}", stack.postgres().port()),
    ] {
        assert!(
            environment.lines().any(|variable| variable == line),
            "{line} is not in\n{environment}"
        );
    }

    let pids = place.pids();
    assert_eq!(
        pids.len(),
        8,
        "migrate, two instances, two sidecars, two agents, Postgres"
    );
    said.lock().unwrap().clear();
    stack.stop(&report).await;
    assert_eq!(
        *said.lock().unwrap(),
        [
            "agent-0",
            "agent-1",
            "function",
            "sidecar-0",
            "sidecar-1",
            "s3",
            "postgres"
        ]
    );
    assert!(place.log("agent-0").contains("stopped in order"));
    assert_eq!(
        pids.into_iter().filter(|pid| runs(*pid)).collect::<Vec<_>>(),
        Vec::<u32>::new()
    );
}

#[tokio::test]
async fn on_an_outside_aws_the_function_reads_its_queue_and_no_s3_is_played() {
    let place = Place::new();
    let mut config = place.config(1);
    let ports = config.agents[0];
    // S3's port is somebody else's.
    let _taken = TcpListener::bind(("127.0.0.1", config.s3_port)).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", config.s3_port);
    let event_queue_url = format!("{endpoint}/000000000000/events");
    config.outside = Some(OutsideAws {
        endpoint: endpoint.clone(),
        event_queue_url: event_queue_url.clone(),
    });
    let said = Mutex::new(Vec::new());
    let report = |part: &str, _: &str| said.lock().unwrap().push(part.to_owned());
    let stack = OutsideStack::start_reporting(config, &report).await.unwrap();
    assert_eq!(
        *said.lock().unwrap(),
        ["s3", "postgres", "migrations", "function", "sidecar 0", "agent 0"]
    );
    let environment = fetch(format!("http://127.0.0.1:{}/env", ports.admin)).await;
    assert!(
        environment.contains(&format!("YAKS_S3_ENDPOINT={endpoint}\n")),
        "{environment}"
    );
    let reads = format!("reads {event_queue_url}");
    eventually("the function reads the queue", || {
        place.log("yaks-materializer").contains(&reads)
    });

    let pids = place.pids();
    said.lock().unwrap().clear();
    stack.stop(&report).await;
    assert_eq!(
        *said.lock().unwrap(),
        ["agent-0", "yaks-materializer", "sidecar-0", "postgres"]
    );
    assert!(place.log("yaks-materializer").contains("stopped in order"));
    assert!(pids.len() == 5 && pids.iter().all(|pid| !runs(*pid)), "{pids:?}");
}

#[tokio::test]
async fn a_function_that_dies_on_an_outside_aws_is_reported() {
    let place = Place::new();
    let mut config = place.config(1);
    config.outside = Some(OutsideAws {
        endpoint: "http://127.0.0.1:1".to_owned(),
        event_queue_url: "http://127.0.0.1:1/000000000000/events".to_owned(),
    });
    let fail = ("STAND_IN_FAIL".to_owned(), "yaks-materializer".to_owned());
    config.function_env.push(fail);
    let stack = OutsideStack::start_reporting(config, &|_, _| {}).await.unwrap();
    let death = stack.died().await;
    assert_eq!(death.part, "yaks-materializer");
    assert!(death.log_tail.contains("was told to fail"), "{death:?}");
}

#[tokio::test]
async fn a_part_that_dies_is_reported_with_its_log_and_one_that_is_killed_on_purpose_is_not() {
    let place = Place::new();
    let stack = Stack::start(place.config(2)).await.unwrap();
    stack.kill_agent(0).await;
    assert_eq!(stack.agent_pid(0).await, None);
    let quiet = tokio::time::timeout(Duration::from_millis(300), stack.died()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    stack.start_agent(0).await.unwrap();
    let pid = stack.agent_pid(0).await.unwrap();
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    let death = stack.died().await;
    assert_eq!(
        (death.part.as_str(), death.how.as_str()),
        ("agent-0", "killed by signal 9")
    );
    assert!(death.log_tail.contains(&format!("runs as process {pid}")), "{death:?}");
}

#[tokio::test]
async fn a_part_that_fails_at_the_start_fails_the_start_and_leaves_nothing_running() {
    for failing in ["yaks-agent", "yaks-cache", "yaks-materializer"] {
        let place = Place::new();
        let mut config = place.config(1);
        let fail = ("STAND_IN_FAIL".to_owned(), failing.to_owned());
        // As a setting of every part: `migrate` is the agent's binary too.
        config.agent_env.push(fail.clone());
        config.sidecar_env.push(fail.clone());
        config.function_env.push(fail);
        let said = Stack::start(config).await.map(drop).unwrap_err().to_string();
        assert!(said.contains("was told to fail"), "{said}");
        let pids = place.pids();
        assert!(!pids.is_empty());
        eventually("a part still runs", || pids.iter().all(|pid| !runs(*pid)));
    }
}

#[tokio::test]
async fn a_taken_port_is_found_before_anything_starts() {
    let place = Place::new();
    let config = place.config(1);
    let taken = TcpListener::bind(("127.0.0.1", config.agents[0].kafka)).unwrap();
    let said = Stack::start(config).await.map(drop).unwrap_err().to_string();
    let port = taken.local_addr().unwrap().port();
    assert!(
        said.contains(&format!("port {port}")) && said.contains("YAKS_BROKER_PORT"),
        "{said}"
    );
    assert!(!place.data().exists());
}

/// A running `yaks-dev`; killed when a test fails before it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// The program that `make up` runs, on free ports.
fn yaks_dev(place: &Place) -> Running {
    let ports = place.config(1);
    let child = Command::new(env!("CARGO_BIN_EXE_yaks-dev"))
        .env("YAKS_DEV_DATA_DIR", place.data())
        .env("YAKS_DEV_BINARIES", place.0.join("bin"))
        .env("YAKS_BROKER_PORT", ports.agents[0].kafka.to_string())
        .env("YAKS_METRICS_PORT", ports.agents[0].admin.to_string())
        .env("YAKS_CACHE_PORT", ports.agents[0].sidecar.to_string())
        .env("YAKS_DEV_S3_PORT", ports.s3_port.to_string())
        .env("YAKS_DEV_PORT", ports.dev_port.to_string())
        .stdout(fs::File::create(place.0.join("out")).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    eventually("make up is ready", || {
        assert_eq!(running.0.try_wait().unwrap(), None, "make up ended");
        fs::read_to_string(place.0.join("out")).unwrap().contains("kcat -C")
    });
    running
}

#[test]
fn ctrl_c_stops_all_with_success_and_the_next_start_finds_the_data() {
    let place = Place::new();
    for _ in 0..2 {
        let mut child = yaks_dev(&place);
        let pids = place.pids();
        Command::new("kill")
            .args(["-INT", &child.0.id().to_string()])
            .status()
            .unwrap();
        assert!(child.0.wait().unwrap().success());
        assert!(pids.iter().all(|pid| !runs(*pid)));
        assert!(place.data().join("postgres/PG_VERSION").exists());
    }
}

#[test]
fn nothing_outlives_a_supervisor_that_is_killed_and_the_next_one_starts() {
    let place = Place::new();
    let mut child = yaks_dev(&place);
    let pids = place.pids();
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    // At once: the next start has to wait for Postgres to be gone.
    let mut next = yaks_dev(&place);
    eventually("a part still runs", || pids.iter().all(|pid| !runs(*pid)));
    Command::new("kill")
        .args(["-TERM", &next.0.id().to_string()])
        .status()
        .unwrap();
    assert!(next.0.wait().unwrap().success());
}

#[test]
fn a_part_that_dies_ends_the_run_with_failure() {
    let place = Place::new();
    let mut child = yaks_dev(&place);
    let pids = place.pids();
    let log = place.log("sidecar-0");
    let sidecar = log
        .lines()
        .find_map(|line| line.rsplit_once("runs as process "))
        .unwrap()
        .1
        .trim();
    Command::new("kill").args(["-9", sidecar]).status().unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(1));
    assert!(pids.iter().all(|pid| !runs(*pid)));
}

#[test]
fn a_path_that_holds_no_binaries_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_yaks-dev"))
        .env("YAKS_DEV_BINARIES", Path::new("/nonexistent"))
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/yaks-agent is missing"));
}
