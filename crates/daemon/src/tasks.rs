//! Every task of a process has a name and one tracker, so that it can be waited for, and be named when it hangs.
//!
//! A panic in a core task ends the process: half a broker is worse than none. The process ends through
//! `Tasks::core_failure`, which `main` turns into its exit code, so that the rest still shuts down in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often shutdown says what it still waits for.
const WAITING_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The tasks of a process, or of one stage of its shutdown.
#[derive(Clone, Debug)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    next_id: AtomicU64,
    roster: Mutex<Roster>,
    failed: Mutex<Option<&'static str>>,
}

/// Who is running.
#[derive(Debug, Default)]
struct Roster {
    running: BTreeMap<u64, (&'static str, Option<AbortHandle>)>,
    /// Whoever starts now is ended at once.
    aborted: bool,
}

/// Aborts the tasks when it is dropped.
#[derive(Debug)]
pub struct AbortOnDrop(Tasks);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tasks that did not end before the deadline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("still running: {}", .0.join(", "))]
pub struct StillRunning(pub Vec<String>);

impl Tasks {
    /// No tasks yet; `shutdown` tells them to end, and a core task that panics cancels it.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            tracker: TaskTracker::new(),
            shutdown,
            next_id: AtomicU64::new(0),
            roster: Mutex::default(),
            failed: Mutex::default(),
        }))
    }

    /// The token that tells these tasks to end.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Starts a task whose panic concerns nobody else, such as one connection's: it is logged and counted as ended.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(name, false, task)
    }

    /// Starts a task that the process cannot do without: if it panics, the whole process shuts down.
    pub fn spawn_core<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(name, true, task)
    }

    /// The core task whose panic ended the process, if one did.
    pub fn core_failure(&self) -> Option<&'static str> {
        *self.0.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the tasks to end and waits for them, up to `deadline`; says every second what it waits for. Tasks that
    /// are late go on running: the process is about to end, and they with it.
    pub async fn stop(&self, deadline: Duration) -> Result<(), StillRunning> {
        self.0.shutdown.cancel();
        self.0.tracker.close();
        let mut waiting = tokio::time::interval(WAITING_LOG_INTERVAL);
        waiting.tick().await;
        let ended = async {
            loop {
                tokio::select! {
                    biased;
                    () = self.0.tracker.wait() => return,
                    _ = waiting.tick() => tracing::info!(tasks = self.names().join(", "), "waiting for tasks to end"),
                }
            }
        };
        tokio::time::timeout(deadline, ended)
            .await
            .map_err(|_| StillRunning(self.names()))
    }

    fn start<F>(&self, name: &'static str, core: bool, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = Running::enter(self, name, core);
        let id = running.id;
        let handle = self.0.tracker.spawn(async move {
            let _running = running;
            task.await
        });
        let mut roster = self.roster();
        if roster.aborted {
            handle.abort();
        } else if let Some((_, abort)) = roster.running.get_mut(&id) {
            *abort = Some(handle.abort_handle());
        }
        drop(roster);
        handle
    }

    /// Ends all tasks, now and from now on, at the await where each stands: what a killed process does to its tasks.
    pub fn abort(&self) {
        let mut roster = self.roster();
        roster.aborted = true;
        let running: Vec<AbortHandle> = roster.running.values().filter_map(|(_, abort)| abort.clone()).collect();
        drop(roster);
        running.iter().for_each(AbortHandle::abort);
    }

    /// A guard that aborts the tasks when it is dropped, for whoever must not leave any behind.
    pub fn abort_on_drop(&self) -> AbortOnDrop {
        AbortOnDrop(self.clone())
    }

    /// Names of running tasks, with a count where there are several of one name.
    fn names(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, _) in self.roster().running.values() {
            *counts.entry(name).or_default() += 1;
        }
        let named = |(name, count)| {
            if count == 1 {
                String::from(name)
            } else {
                format!("{name} x{count}")
            }
        };
        counts.into_iter().map(named).collect()
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.0.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task from its start to its end, however it ends: done, aborted or panicked.
struct Running {
    tasks: Tasks,
    id: u64,
    name: &'static str,
    core: bool,
}

impl Running {
    fn enter(tasks: &Tasks, name: &'static str, core: bool) -> Self {
        let id = tasks.0.next_id.fetch_add(1, Ordering::Relaxed);
        tasks.roster().running.insert(id, (name, None));
        Self {
            tasks: tasks.clone(),
            id,
            name,
            core,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.roster().running.remove(&self.id);
        if !std::thread::panicking() {
            return;
        }
        tracing::error!(task = self.name, core = self.core, "task panicked");
        if self.core {
            *self.tasks.0.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.name);
            self.tasks.0.shutdown.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Tasks {
        Tasks::new(CancellationToken::new())
    }

    #[tokio::test]
    async fn a_panic_in_a_core_task_shuts_the_process_down_by_name() {
        let tasks = tasks();
        tasks.spawn_core("uploader", async { panic!("on purpose") });
        tasks.shutdown().cancelled().await;
        assert_eq!(tasks.core_failure(), Some("uploader"));
        tasks.stop(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_another_task_concerns_nobody_else() {
        let tasks = tasks();
        let handle = tasks.spawn("connection", async { panic!("on purpose") });
        assert!(handle.await.unwrap_err().is_panic());
        assert!(!tasks.shutdown().is_cancelled());
        assert_eq!(tasks.core_failure(), None);
    }

    #[tokio::test]
    async fn stop_waits_for_tasks_that_heed_the_token() {
        let tasks = tasks();
        let token = tasks.shutdown().clone();
        tasks.spawn_core("heeds", async move { token.cancelled().await });
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, Ok(()));
    }

    #[tokio::test]
    async fn tasks_are_aborted_when_their_guard_is_dropped_and_none_starts_after() {
        let tasks = tasks();
        let waiting = tasks.spawn_core("waiting", std::future::pending::<()>());
        drop(tasks.abort_on_drop());
        assert!(waiting.await.unwrap_err().is_cancelled());
        let late = tasks.spawn("late", std::future::pending::<()>());
        assert!(late.await.unwrap_err().is_cancelled());
        assert_eq!(tasks.core_failure(), None);
        tasks.stop(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn stop_names_the_tasks_it_gave_up_on() {
        let tasks = tasks();
        for name in ["stuck", "deaf", "deaf"] {
            tasks.spawn(name, std::future::pending::<()>());
        }
        let late = tasks.stop(Duration::from_secs(3)).await.unwrap_err();
        assert_eq!(late.to_string(), "still running: deaf x2, stuck");
    }
}
