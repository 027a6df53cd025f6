//! Child processes that do not outlive us, even when we are killed with SIGKILL.
//!
//! The child starts as a shell that forks a watcher and then `exec`s the program, so that the pid and the exit status
//! we see are the program's own. The watcher reads a pipe whose other end only we hold: when it closes, because we are
//! gone, the watcher sends the program a signal and, after a grace time, SIGKILL.
//! Linux's parent-death signal would do half of this, but it follows the *thread* that forked, and needs unsafe code.
//!
//! Every child leads its own process group: Ctrl-C in a terminal reaches us only, and we decide the order of things.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// A zombie has ended: where nobody reaps orphans, waiting for it to vanish would take the whole grace time.
const SCRIPT: &str = r#"
signal=$1 grace=$2 remove=$3
shift 3
exec 3<&0
alive() { kill -s 0 $$ && ! grep -q '^State:.Z' /proc/$$/status; }
(
    while read -r _ <&3; do :; done
    kill -s "$signal" $$
    while [ "$grace" -gt 0 ] && alive; do sleep 1; grace=$((grace - 1)); done
    kill -s KILL $$
    [ -z "$remove" ] || rm -rf -- "$remove"
) </dev/null >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"#;

/// How a child is told to stop.
#[derive(Clone, Debug)]
pub struct Leash {
    /// What it gets first when it is stopped.
    pub stop_signal: Signal,
    /// What it gets first when we are gone: SIGKILL for what has no use for a farewell to a dead system.
    pub orphan_signal: Signal,
    /// How long it may take before SIGKILL, in whole seconds.
    pub grace: Duration,
    /// A directory to delete once it has ended after us.
    pub remove: Option<PathBuf>,
}

impl Default for Leash {
    /// SIGTERM in both cases, 30 s (what ECS gives an agent), nothing to remove.
    fn default() -> Self {
        Self {
            stop_signal: Signal::TERM,
            orphan_signal: Signal::TERM,
            grace: Duration::from_secs(30),
            remove: None,
        }
    }
}

/// A running child on its leash. Dropping it kills it.
#[derive(Debug)]
pub struct LeashedChild {
    child: Child,
    leash: Leash,
    released: bool,
}

impl Leash {
    /// Starts `command`: its program, arguments, changes to the environment and working directory. `prepare` sets what
    /// cannot be read back from a `Command`: outputs and user. The program's standard input is empty.
    pub fn spawn(self, command: &Command, prepare: impl FnOnce(&mut Command)) -> io::Result<LeashedChild> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "sh", signal_name(self.orphan_signal)?]);
        shell
            .arg(self.grace.as_secs().to_string())
            .arg(self.remove.clone().unwrap_or_default());
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        prepare(&mut shell);
        let child = shell.stdin(Stdio::piped()).process_group(0).spawn()?;
        Ok(LeashedChild {
            child,
            leash: self,
            released: false,
        })
    }
}

impl LeashedChild {
    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::kill_process(self.pid(), signal)?)
    }

    /// What it writes to standard output, if that was made a pipe.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What it writes to standard error, if that was made a pipe.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Lets the leash fall, as our death would: the watcher stops the program. For tests of just that.
    pub fn let_go(&mut self) -> io::Result<()> {
        self.child
            .stdin
            .take()
            .map(drop)
            .ok_or_else(|| io::Error::other("the leash was let go before"))
    }

    /// Asks it to stop, waits for the grace time, then kills it. Returns how it ended.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            self.signal(self.leash.stop_signal)?;
            // A frozen child would never hear it.
            self.signal(Signal::CONT)?;
        }
        let deadline = Instant::now() + self.leash.grace;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                self.release();
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill()
    }

    /// Ends it at once, with SIGKILL, as a crash would.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.release();
        Ok(status)
    }

    /// Ends the watcher. It must go before the pipe closes: the program's pid may belong to somebody else by then.
    /// The watcher keeps the process group, and so its number, in existence until here.
    fn release(&mut self) {
        if self.released {
            return;
        }
        self.released = true;
        let _ = rustix::process::kill_process_group(self.pid(), Signal::KILL);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for LeashedChild {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// "exit status 3" or "killed by signal 9", for messages.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn signal_name(signal: Signal) -> io::Result<&'static str> {
    match signal {
        Signal::TERM => Ok("TERM"),
        Signal::INT => Ok("INT"),
        Signal::KILL => Ok("KILL"),
        Signal::QUIT => Ok("QUIT"),
        other => Err(io::Error::other(format!("signal {other:?} is not a stop signal"))),
    }
}
