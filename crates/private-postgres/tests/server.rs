//! A private Postgres, started for real.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use private_postgres::leash::Leash;
use private_postgres::{PrivatePostgres, PrivatePostgresConfig};

fn query(server: &PrivatePostgres, database: &str, sql: &str) -> String {
    let output = server
        .client("psql")
        .args(["-d", database, "-tAc", sql])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A directory the server's user can enter, below a name of the test's own.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("yaks-test-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn answers(server: &PrivatePostgres) -> bool {
    let mut probe = server.client("pg_isready");
    probe
        .args(["-d", "postgres", "-q", "-t", "1"])
        .status()
        .unwrap()
        .success()
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn commits_are_durable_and_text_is_utf8() {
    let server = PrivatePostgres::shared();
    assert_eq!(query(server, "postgres", "show fsync"), "on");
    assert_eq!(query(server, "postgres", "show synchronous_commit"), "on");
    assert_eq!(query(server, "postgres", "show server_encoding"), "UTF8");
}

#[test]
fn every_fresh_database_is_a_new_one() {
    let server = PrivatePostgres::shared();
    let (one, other) = (
        server.create_fresh_database().unwrap(),
        server.create_fresh_database().unwrap(),
    );
    assert_ne!(one, other);
    query(server, &one, "create table only_here (id int)");
    assert_eq!(
        query(
            server,
            &other,
            "select count(*) from pg_tables where tablename = 'only_here'"
        ),
        "0"
    );
}

#[test]
fn a_wrong_password_is_refused() {
    let server = PrivatePostgres::shared();
    let mut client = server.client("psql");
    let output = client
        .env("PGPASSWORD", "wrong")
        .args(["-d", "postgres", "-c", "select 1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn data_survive_a_stop_and_a_crash() {
    let directory = directory("survives");
    let start = || PrivatePostgres::start(PrivatePostgresConfig::new(directory.join("data"))).unwrap();
    let server = start();
    server.create_database("kept").unwrap();
    query(&server, "kept", "create table t as select 42 as answer");
    drop(server);
    let server = start();
    assert_eq!(query(&server, "kept", "select answer from t"), "42");
    query(&server, "kept", "update t set answer = 43");
    Command::new("kill")
        .args(["-9", &server.id().to_string()])
        .status()
        .unwrap();
    eventually("the server is gone", || server.ended().is_some());
    drop(server);
    let server = start();
    assert_eq!(query(&server, "kept", "select answer from t"), "43");
    drop(server);
    remove(&directory);
}

#[test]
fn a_temporary_server_leaves_nothing_behind() {
    let server = PrivatePostgres::temporary().unwrap();
    let (root, pid) = (server.data_dir().parent().unwrap().to_owned(), server.id());
    assert!(root.exists());
    drop(server);
    assert!(!root.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

/// Plays a process that is killed while it holds a leash: the shell's end of the pipe closes with it.
#[test]
fn a_child_ends_when_its_parent_is_gone() {
    let directory = directory("leash");
    let mark = directory.join("mark");
    fs::create_dir(&mark).unwrap();
    let leash = Leash {
        grace: Duration::from_secs(5),
        remove: Some(mark.clone()),
        ..Leash::default()
    };
    let mut command = Command::new("sleep");
    command.arg("600");
    let mut child = leash.spawn(&command, |shell| {
        shell.stdout(Stdio::piped());
    });
    let child = child.as_mut().unwrap();
    let stopped = child.let_go();
    assert!(stopped.is_ok());
    eventually("the program has ended", || child.try_wait().unwrap().is_some());
    eventually("its directory is gone", || !mark.exists());
    remove(&directory);
}

#[test]
fn an_ignored_stop_signal_is_followed_by_a_kill() {
    let leash = Leash {
        grace: Duration::from_secs(1),
        ..Leash::default()
    };
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]);
    let mut child = leash
        .spawn(&command, |shell| {
            shell.stdout(Stdio::piped());
        })
        .unwrap();
    let mut ready = [0; 5];
    child.take_stdout().unwrap().read_exact(&mut ready).unwrap();
    let status = child.stop().unwrap();
    assert!(!status.success());
}

fn remove(directory: &Path) {
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    let server = PrivatePostgres::temporary().unwrap();
    query(&server, "postgres", "create table kept (n int)");
    query(&server, "postgres", "insert into kept values (7)");
    let before = server.id();
    server.kill().unwrap();
    assert_eq!(server.ended(), None, "it was asked for");
    assert!(!answers(&server));
    server.start_again().unwrap();
    assert_ne!(server.id(), before);
    assert_eq!(query(&server, "postgres", "select n from kept"), "7");
    server.stop().unwrap();
    server.start_again().unwrap();
    server.start_again().unwrap();
    assert_eq!(query(&server, "postgres", "select n from kept"), "7");
}

/// A backend that outlives its server keeps the shared memory, so that the next server ends at once and is tried again.
#[test]
fn a_server_that_has_to_be_started_more_than_once_did_not_end_by_itself() {
    let data_dir = directory("again");
    let mut config = PrivatePostgresConfig::new(data_dir.join("data"));
    config.sync_new_cluster = false;
    config.log_file = data_dir.join("log");
    let server = PrivatePostgres::start(config).unwrap();
    let mut session = server.client("psql");
    let mut session = session
        .args(["-d", "postgres", "-c", "select pg_sleep(600)"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut backend = String::new();
    eventually("the session is there", || {
        let sleeping = "select pid from pg_stat_activity where wait_event = 'PgSleep'";
        backend = query(&server, "postgres", sleeping);
        !backend.is_empty()
    });
    signal("STOP", &backend);
    let killed = server.id().to_string();
    signal("KILL", &killed);
    eventually("nobody asked for it", || server.ended().is_some());

    thread::scope(|scope| {
        let starting = scope.spawn(|| server.start_again());
        eventually("the next server meets the backend", || {
            assert!(server.id().to_string() == killed || server.ended().is_none());
            let log = fs::read_to_string(data_dir.join("log")).unwrap_or_default();
            log.matches("pre-existing shared memory block").count() > 1
        });
        signal("KILL", &backend);
        starting.join().unwrap().unwrap();
    });
    assert_eq!(server.ended(), None);
    assert_eq!(query(&server, "postgres", "select 1"), "1");
    let _ = session.wait();
    drop(server);
    remove(&data_dir);
}

fn signal(name: &str, pid: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_paused_server_does_not_answer_until_it_is_resumed() {
    let server = PrivatePostgres::temporary().unwrap();
    server.pause().unwrap();
    assert!(!answers(&server));
    server.resume().unwrap();
    assert_eq!(query(&server, "postgres", "select 1"), "1");
    server.pause().unwrap();
    server.stop().unwrap();
}
