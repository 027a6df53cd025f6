//! The running server.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::leash::{Leash, LeashedChild, describe};
use crate::user::RunAs;
use crate::{Binaries, PrivatePostgresError, cluster, free_port};

const HOST: &str = "127.0.0.1";
/// Crash recovery after a long run replays WAL before the server answers.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A server whose parent was killed is being stopped by its watcher; it needs a moment.
pub(crate) const LEFTOVER_GONE_WITHIN: Duration = Duration::from_secs(10);
/// Somebody may take the free port between our look and the server's.
const PORT_TRIES: u32 = 5;

/// A password that does not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(***)")
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct PrivatePostgresConfig {
    /// The cluster; made by initdb when it is not there.
    pub data_dir: PathBuf,
    /// Where the server logs to; appended.
    pub log_file: PathBuf,
    /// The port on the loopback interface; `None` takes a free one.
    pub port: Option<u16>,
    /// The superuser that initdb makes; must not change over the life of a cluster.
    pub user: String,
    /// Its password; the same holds.
    pub password: Password,
    /// `max_connections` of the server.
    pub connections_max: u16,
    /// `shared_buffers` of the server, in MB.
    pub shared_buffers_mb: u32,
    /// Whether a new cluster is on the disk before it is used; without, a machine that crashes within seconds of the
    /// first start may leave a broken one. It says nothing about commits, which are always synced.
    pub sync_new_cluster: bool,
    /// A directory to delete when the server has ended, `data_dir` in it.
    pub remove_at_end: Option<PathBuf>,
}

impl PrivatePostgresConfig {
    /// Defaults: a free port, user and password as yaks's settings default to, 200 connections, 128 MB of buffers (as Postgres), kept at the end.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            log_file: data_dir.with_extension("log"),
            data_dir,
            port: None,
            user: "testuser".to_owned(),
            password: Password::new("testpassword"),
            connections_max: 200,
            shared_buffers_mb: 128,
            sync_new_cluster: true,
            remove_at_end: None,
        }
    }
}

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    pub(crate) config: PrivatePostgresConfig,
    pub(crate) binaries: Binaries,
    pub(crate) data_dir: PathBuf,
    pub(crate) port: u16,
    pub(crate) run_as: RunAs,
    process: Mutex<Process>,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: LeashedChild,
    /// Whether somebody asked it to end, or paused it.
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// On its way: that it ends is for whoever starts it.
    Starting,
    Running,
    Paused,
    Ended,
}

impl Process {
    fn how_it_ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(describe)
    }
}

impl PrivatePostgres {
    /// Starts a server and waits until it answers.
    pub fn start(config: PrivatePostgresConfig) -> Result<Self, PrivatePostgresError> {
        let binaries = Binaries::find()?;
        let run_as = RunAs::choose(&config.data_dir)?;
        let data_dir = cluster::settle(&config.data_dir, run_as)?;
        wait_for_leftover(&data_dir)?;
        cluster::initialise(&binaries, run_as, &data_dir, &config)?;
        let mut tries = 1;
        loop {
            match Self::start_once(&config, &binaries, run_as, &data_dir) {
                Err(PrivatePostgresError::NotStarted { .. }) if config.port.is_none() && tries < PORT_TRIES => {
                    tries += 1
                }
                result => return result,
            }
        }
    }

    /// Starts a server on a new cluster in the temporary directory, deleted when the server ends.
    pub fn temporary() -> Result<Self, PrivatePostgresError> {
        let root = temporary_root()?;
        let mut config = PrivatePostgresConfig::new(root.join("data"));
        config.remove_at_end = Some(root);
        config.sync_new_cluster = false;
        Self::start(config)
    }

    /// The one temporary server that all tests of this process share. It ends with the process.
    ///
    /// # Panics
    ///
    /// If there is no Postgres: a test that needs one fails, it is not skipped.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PrivatePostgres> = OnceLock::new();
        SHARED.get_or_init(|| match Self::temporary() {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        })
    }

    fn start_once(
        config: &PrivatePostgresConfig,
        binaries: &Binaries,
        run_as: RunAs,
        data_dir: &Path,
    ) -> Result<Self, PrivatePostgresError> {
        let port = config.port.map_or_else(free_port, Ok);
        let port = port.map_err(|source| PrivatePostgresError::Directory {
            path: config.log_file.clone(),
            source,
        })?;
        let child = spawn(config, binaries, run_as, data_dir, port)?;
        let server = Self {
            config: config.clone(),
            binaries: binaries.clone(),
            data_dir: data_dir.to_owned(),
            port,
            run_as,
            process: Mutex::new(Process {
                child,
                expected: Expected::Running,
            }),
        };
        server.wait_until_ready().map(|()| server)
    }

    pub(crate) fn wait_until_ready(&self) -> Result<(), PrivatePostgresError> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Some(how) = self.process().how_it_ended() {
                return Err(self.not_started(how));
            }
            let mut probe = self.client("pg_isready");
            if probe
                .args(["-d", "postgres", "-q"])
                .status()
                .is_ok_and(|status| status.success())
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(self.not_started(format!("not ready within {} s", READY_WITHIN.as_secs())))
    }

    fn not_started(&self, reason: String) -> PrivatePostgresError {
        let log_file = self.config.log_file.clone();
        let log = fs::read_to_string(&log_file).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let log_tail = lines[lines.len().saturating_sub(10)..].join("\n");
        PrivatePostgresError::NotStarted {
            reason,
            log_file,
            log_tail,
        }
    }

    /// How the server ended, if it has and nobody asked for it.
    pub fn ended(&self) -> Option<String> {
        let mut process = self.process();
        match process.expected {
            Expected::Running | Expected::Paused => process.how_it_ended(),
            Expected::Starting | Expected::Ended => None,
        }
    }

    /// Makes an empty database owned by the user.
    pub fn create_database(&self, name: &str) -> Result<(), PrivatePostgresError> {
        let mut command = self.client("createdb");
        command.arg(name);
        cluster::run("createdb", command)
    }

    /// Makes the database unless it is there.
    pub fn ensure_database(&self, name: &str) -> Result<(), PrivatePostgresError> {
        let mut probe = self.client("psql");
        let connects = probe
            .args(["-d", name, "-qc", ""])
            .output()
            .is_ok_and(|output| output.status.success());
        if connects { Ok(()) } else { self.create_database(name) }
    }

    /// Makes an empty database with a name nobody has used on this server, and returns the name.
    pub fn create_fresh_database(&self) -> Result<String, PrivatePostgresError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fresh_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.create_database(&name).map(|()| name)
    }

    /// A client program of the server's own version, pointed at it; arguments are the caller's to add.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        forget_settings(&mut command);
        command
            .env("PGPASSWORD", self.config.password.expose())
            .args(["-h", HOST, "-U", &self.config.user]);
        command.args(["-p", &self.port.to_string()]).current_dir("/");
        command
    }

    /// `postgres://user:password@host:port/database`.
    pub fn url(&self, database: &str) -> String {
        let (user, password) = (&self.config.user, self.config.password.expose());
        format!("postgres://{user}:{password}@{HOST}:{}/{database}", self.port)
    }

    /// The address it listens on.
    pub fn host(&self) -> &str {
        HOST
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser.
    pub fn user(&self) -> &str {
        &self.config.user
    }

    /// The superuser's password.
    pub fn password(&self) -> &Password {
        &self.config.password
    }

    /// Where the cluster really is.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The server's process id.
    pub fn id(&self) -> u32 {
        self.process().child.id()
    }

    pub(crate) fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn spawn(
    config: &PrivatePostgresConfig,
    binaries: &Binaries,
    run_as: RunAs,
    data_dir: &Path,
    port: u16,
) -> Result<LeashedChild, PrivatePostgresError> {
    let log = fs::OpenOptions::new().create(true).append(true).open(&config.log_file);
    let log = log.map_err(|source| PrivatePostgresError::Directory {
        path: config.log_file.clone(),
        source,
    })?;
    let leash = Leash {
        stop_signal: Signal::INT,
        orphan_signal: Signal::INT,
        grace: Duration::from_secs(30),
        remove: config.remove_at_end.clone(),
    };
    let child = leash.spawn(&server_command(config, binaries, data_dir, port), |shell| {
        run_as.apply(shell);
        shell.stdout(Stdio::null()).stderr(log);
    });
    child.map_err(|error| PrivatePostgresError::Program {
        program: "postgres",
        message: error.to_string(),
    })
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let _ = self.stop();
        if let Some(directory) = &self.config.remove_at_end {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn server_command(config: &PrivatePostgresConfig, binaries: &Binaries, data_dir: &Path, port: u16) -> Command {
    let mut command = Command::new(binaries.program("postgres"));
    forget_settings(&mut command);
    command.arg("-D").arg(data_dir);
    let settings = [
        format!("port={port}"),
        format!("listen_addresses={HOST}"),
        "unix_socket_directories=".to_owned(),
        format!("max_connections={}", config.connections_max),
        format!("shared_buffers={}MB", config.shared_buffers_mb),
        "fsync=on".to_owned(),
        "synchronous_commit=on".to_owned(),
        "logging_collector=off".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ];
    for setting in settings {
        command.args(["-c", &setting]);
    }
    command
}

/// The caller's `PGHOST`, `PGOPTIONS`, `PGDATA` and kin are about another server.
fn forget_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
}

pub(crate) fn wait_for_leftover(data_dir: &Path) -> Result<(), PrivatePostgresError> {
    let deadline = Instant::now() + LEFTOVER_GONE_WITHIN;
    while let Some(pid) = cluster::running_server(data_dir) {
        if Instant::now() > deadline {
            return Err(PrivatePostgresError::AlreadyRunning {
                path: data_dir.to_owned(),
                pid,
            });
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A new directory under the first temporary directory that the server's user can enter.
fn temporary_root() -> Result<PathBuf, PrivatePostgresError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "yaks-postgres-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let run_as = RunAs::choose(Path::new(""))?;
    let mut last = PrivatePostgresError::NoUnprivilegedUser;
    for base in [env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
        match cluster::fresh(&base.join(&name), run_as) {
            Ok(root) => return Ok(root),
            Err(error) => last = error,
        }
    }
    Err(last)
}
