//! One instance of the function: a process, the port of its Runtime API, and the invocation it works on.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::function::Function;
use super::invocation::{Failure, Invocation, Outcome};
use super::runtime_api;
use crate::part::{Part, PartCommand};

/// Long enough for a debug binary on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Instance {
    name: String,
    command: PartCommand,
    process: Mutex<Option<Part>>,
    current: Mutex<Option<Invocation>>,
    ready: watch::Sender<bool>,
    stopped: watch::Sender<bool>,
    serving: AbortHandle,
    timeout: Duration,
}

impl Instance {
    pub(super) async fn start(function: &Arc<Function>, number: usize) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no port for the Runtime API")?;
        let address = listener.local_addr()?.to_string();
        let name = format!("materializer-{number}");
        let mut command = function.config.command.clone();
        command.name.clone_from(&name);
        command.log_file = function.config.log_dir.join(format!("{name}.log"));
        command.env.extend(lambda_environment(&function.config.name, &address));
        let instance = Arc::new_cyclic(|instance| {
            let router = runtime_api::routes(instance.clone(), function);
            let serving = tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::warn!(%error, "the Runtime API ended");
                }
            });
            Self {
                name,
                command,
                process: Mutex::new(None),
                current: Mutex::new(None),
                ready: watch::Sender::new(false),
                stopped: watch::Sender::new(false),
                serving: serving.abort_handle(),
                timeout: function.config.timeout,
            }
        });
        // Last: the Runtime API tells a process that asks before the instance is whole that it is gone.
        let process = instance.command.start()?;
        *lock(&instance.process) = Some(process);
        Ok(instance)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn log_file(&self) -> &Path {
        &self.command.log_file
    }

    /// Waits until it has asked for work for the first time.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let mut ready = self.ready.subscribe();
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        loop {
            let step = tokio::time::Instant::now() + Duration::from_millis(50);
            if tokio::time::timeout_at(step, ready.wait_for(|ready| *ready))
                .await
                .is_ok()
            {
                return Ok(());
            }
            if let Some(how) = self.ended() {
                bail!(
                    "{} ended before it was ready ({how}):\n{}",
                    self.name,
                    crate::part::tail(self.log_file())
                );
            }
            if step > deadline {
                bail!("{} did not ask for work within {} s", self.name, READY_WITHIN.as_secs());
            }
        }
    }

    pub(super) fn mark_ready(&self) {
        self.ready.send_replace(true);
    }

    /// Becomes true when it is to take no more work.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    /// How its process ended, if it has.
    pub(super) fn ended(&self) -> Option<String> {
        lock(&self.process).as_mut().and_then(Part::ended)
    }

    /// Notes that it works on `invocation` now, and sees to it that this ends.
    pub(super) fn begin(self: &Arc<Self>, invocation: Invocation) {
        let id = invocation.id;
        *lock(&self.current) = Some(invocation);
        let instance = Arc::downgrade(self);
        let timeout = self.timeout;
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            let Some(instance) = instance.upgrade() else { return };
            let failure = Failure::TimedOut { id, timeout };
            if instance.finish(id, Outcome::Failure(failure)) {
                instance.restart_after("an invocation timed out");
            }
        });
    }

    /// Ends the invocation it works on; `false` if that is not `id` (any more).
    pub(super) fn finish(&self, id: Uuid, outcome: Outcome) -> bool {
        let mut current = lock(&self.current);
        if current.as_ref().is_none_or(|invocation| invocation.id != id) {
            return false;
        }
        if let Some(invocation) = current.take() {
            // Whoever invoked may have gone: an Event invocation does not wait.
            let _ = invocation.reply.send(outcome);
        }
        true
    }

    /// Fails what it works on, because its process is gone.
    pub(super) fn fail_current(&self, how: &str) {
        if let Some(Invocation { id, reply, .. }) = lock(&self.current).take() {
            let _ = reply.send(Outcome::Failure(Failure::Exited {
                id,
                how: how.to_owned(),
            }));
        }
    }

    /// Kills what is left of the process and starts a new one.
    pub(super) fn restart_after(&self, why: &str) {
        tracing::warn!(instance = self.name, why, "starting the instance anew");
        let mut process = lock(&self.process);
        *process = None;
        match self.command.start() {
            Ok(part) => *process = Some(part),
            Err(error) => tracing::error!(instance = self.name, %error, "the instance cannot be started"),
        }
    }

    /// Kills its process and starts a new one; whether it was at work.
    pub(super) fn crash(&self) -> bool {
        let was_at_work = lock(&self.current).is_some();
        self.restart_after("it was to crash");
        self.fail_current("killed by signal 9");
        was_at_work
    }

    /// Ends it. From here on it takes no invocation, so that what waits stays in the queue.
    pub(super) async fn stop(&self) {
        self.stopped.send_replace(true);
        let process = lock(&self.process).take();
        if let Some(part) = process {
            part.stop().await;
        }
        self.serving.abort();
        self.fail_current("it was stopped");
    }
}

impl Instance {
    pub(super) fn kill(&self) {
        self.stopped.send_replace(true);
        // Dropping a part kills it.
        *lock(&self.process) = None;
        self.serving.abort();
        self.fail_current("it was killed");
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What Lambda sets for a function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
fn lambda_environment(function_name: &str, runtime_api: &str) -> Vec<(String, String)> {
    let log_group = format!("/aws/lambda/{function_name}");
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_LAMBDA_FUNCTION_NAME", function_name),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("_HANDLER", "bootstrap"),
    ];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
