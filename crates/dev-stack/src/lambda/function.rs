//! The function: a queue of invocations and the instances that work it off.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc, watch};
use types::Clock;

use super::instance::Instance;
use super::invocation::{Failure, Invocation, Outcome};
use crate::part::PartCommand;

/// More waiting invocations are refused, as Lambda refuses what exceeds the account's concurrency.
const WAITING_MAX: usize = 1000;

/// The function's settings.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// Its name, as the Invoke API knows it.
    pub name: String,
    /// The binary to run, its environment without Lambda's own variables.
    pub command: PartCommand,
    /// Where the instances log to, one file each.
    pub log_dir: PathBuf,
    /// How many run at once.
    pub instances: usize,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// What happens when an instance ends by itself.
    pub on_death: OnDeath,
}

/// What happens when an instance ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeath {
    /// It is reported, and stays dead: a developer wants to see it.
    Report,
    /// It is replaced, as on AWS.
    Restart,
}

/// The running function. Its instances end when it is dropped.
#[derive(Debug)]
pub struct Function {
    pub(super) config: FunctionConfig,
    pub(super) clock: Arc<dyn Clock>,
    waiting: mpsc::Sender<Invocation>,
    queue: Arc<InvocationQueue>,
    running: watch::Sender<bool>,
    instances: Mutex<Vec<Arc<Instance>>>,
}

/// The invocations that wait. Apart from the function, because an idle instance waits here and must not keep it alive.
#[derive(Debug)]
pub(super) struct InvocationQueue(Mutex<mpsc::Receiver<Invocation>>);

impl InvocationQueue {
    /// The next invocation for an instance that is free. Cancel-safe: nothing is lost.
    pub(super) async fn next(&self) -> Option<Invocation> {
        self.0.lock().await.recv().await
    }
}

impl Function {
    /// A function that is not running yet.
    pub fn new(config: FunctionConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        let queue = Arc::new(InvocationQueue(Mutex::new(queue)));
        let running = watch::Sender::new(false);
        Arc::new(Self {
            config,
            clock,
            waiting,
            queue,
            running,
            instances: Mutex::default(),
        })
    }

    /// The name that the Invoke API knows it by.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Starts the instances and waits until each has asked for work. No-op if they run.
    pub async fn start(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut instances = self.instances.lock().await;
        if *self.running.borrow() {
            return Ok(());
        }
        // What is left of a start that failed.
        instances.clear();
        for number in 0..self.config.instances {
            let instance = Instance::start(self, number).await;
            instances.push(instance.with_context(|| format!("cannot start instance {number} of the function"))?);
        }
        for instance in instances.iter() {
            instance.ready().await?;
        }
        self.running.send_replace(true);
        Ok(())
    }

    /// Stops the instances. What they work on fails; what waits, waits. New invocations are refused.
    pub async fn stop(&self) {
        self.running.send_replace(false);
        for instance in self.instances.lock().await.drain(..) {
            instance.stop().await;
        }
    }

    /// Kills the instances at once, as a last resort: whoever drops the stack may not be able to wait.
    pub fn kill(&self) {
        self.running.send_replace(false);
        // Held only while it is started or stopped, which whoever calls this has given up.
        if let Ok(mut instances) = self.instances.try_lock() {
            for instance in instances.drain(..) {
                instance.kill();
            }
        }
    }

    /// Kills every instance in the middle of what it does, and starts it again. Returns how many were at work.
    pub async fn crash(&self) -> usize {
        let instances = self.instances.lock().await;
        instances.iter().filter(|instance| instance.crash()).count()
    }

    /// Waits until the function runs.
    pub async fn running(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.running.subscribe().wait_for(|running| *running).await;
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    /// Invokes it and waits for the end.
    pub async fn invoke(&self, payload: Bytes) -> Outcome {
        if !self.is_running() {
            return Outcome::Failure(Failure::Throttled);
        }
        let (invocation, outcome) = Invocation::new(payload);
        let id = invocation.id;
        if self.waiting.try_send(invocation).is_err() {
            return Outcome::Failure(Failure::Throttled);
        }
        outcome.await.unwrap_or_else(|_| {
            Outcome::Failure(Failure::Exited {
                id,
                how: "it was stopped".to_owned(),
            })
        })
    }

    /// Where instances find their work.
    pub(super) fn queue(&self) -> Arc<InvocationQueue> {
        Arc::clone(&self.queue)
    }

    /// The instances that have ended by themselves, with how they ended and the file they logged to.
    pub async fn deaths(self: &Arc<Self>) -> Vec<(String, String, PathBuf)> {
        let mut deaths = Vec::new();
        for instance in self.instances.lock().await.iter() {
            if let Some(how) = instance.ended() {
                instance.fail_current(&how);
                match self.config.on_death {
                    OnDeath::Report => deaths.push((instance.name().to_owned(), how, instance.log_file().to_owned())),
                    OnDeath::Restart => instance.restart_after(&how),
                }
            }
        }
        deaths
    }
}
