//! The numbered parts of one kind: the agents, or their sidecars.

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::sync::Mutex;

use crate::health::wait_until_ready;
use crate::part::{Part, PartCommand};
use crate::stack::Report;

/// A place for each part; empty while it does not run.
#[derive(Debug)]
pub(crate) struct Fleet(Mutex<Vec<Option<Part>>>);

impl Fleet {
    /// Room for `count` parts.
    pub(crate) fn new(count: usize) -> Self {
        Self(Mutex::new((0..count).map(|_| None).collect()))
    }

    /// Starts number `n` and waits until it is ready; one that runs there is killed.
    pub(crate) async fn start(&self, n: usize, command: &PartCommand, health_port: u16) -> Result<()> {
        let mut part = command.start()?;
        wait_until_ready(&mut part, health_port).await?;
        if let Some(place) = self.0.lock().await.get_mut(n) {
            *place = Some(part);
        }
        Ok(())
    }

    /// Starts number `n`, which has no health to ask for.
    pub(crate) async fn start_unprobed(&self, n: usize, command: &PartCommand) -> Result<()> {
        let part = command.start()?;
        if let Some(place) = self.0.lock().await.get_mut(n) {
            *place = Some(part);
        }
        Ok(())
    }

    /// Stops number `n` in order. Returns how it ended, if it ran.
    pub(crate) async fn stop(&self, n: usize) -> Option<String> {
        let part = self.0.lock().await.get_mut(n)?.take()?;
        Some(part.stop().await)
    }

    /// Kills number `n`.
    pub(crate) async fn kill(&self, n: usize) {
        let part = self.0.lock().await.get_mut(n).and_then(Option::take);
        if let Some(part) = part {
            part.kill();
        }
    }

    /// Sends number `n` a signal.
    pub(crate) async fn signal(&self, n: usize, signal: Signal) -> Result<()> {
        let parts = self.0.lock().await;
        let part = parts.get(n).and_then(Option::as_ref).context("it does not run")?;
        part.signal(signal)
    }

    /// The process id of number `n`, if it runs.
    pub(crate) async fn pid(&self, n: usize) -> Option<u32> {
        self.0.lock().await.get(n)?.as_ref().map(Part::id)
    }

    /// Names and process ids of those that run.
    pub(crate) async fn pids(&self) -> Vec<(String, u32)> {
        let parts = self.0.lock().await;
        parts
            .iter()
            .flatten()
            .map(|part| (part.name().to_owned(), part.id()))
            .collect()
    }

    /// Stops all at once: each has its own time to finish. Returns names and how they ended.
    pub(crate) async fn stop_all(&self) -> Vec<(String, String)> {
        let parts: Vec<Part> = self.0.lock().await.iter_mut().filter_map(Option::take).collect();
        let stopping = parts.into_iter().map(|part| async move {
            let name = part.name().to_owned();
            (name, part.stop().await)
        });
        futures::future::join_all(stopping).await
    }

    /// The same, and tells how each ended.
    pub(crate) async fn stop_reporting(&self, report: Report<'_>) {
        for (name, how) in self.stop_all().await {
            report(&name, &format!("stopped ({how})"));
        }
    }

    /// The first part that has ended by itself: it, and how it ended.
    pub(crate) async fn find_ended(&self) -> Option<(String, String, std::path::PathBuf)> {
        let mut parts = self.0.lock().await;
        parts.iter_mut().flatten().find_map(|part| {
            let how = part.ended()?;
            Some((part.name().to_owned(), how, part.log_file().to_owned()))
        })
    }
}
