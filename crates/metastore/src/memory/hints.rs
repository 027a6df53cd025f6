//! Hints in memory: every listener gets each, unless its weather loses it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Connection, Weather};
use crate::{HintSource, Hints, MetastoreError};

/// Hints kept for a listener that does not listen; older ones are lost to it.
const HINTS_KEPT_MAX: usize = 64;

/// What carries the hints from senders to listeners.
#[derive(Debug)]
pub(super) struct Channel(broadcast::Sender<String>);

impl Default for Channel {
    fn default() -> Self {
        Self(broadcast::channel(HINTS_KEPT_MAX).0)
    }
}

#[async_trait]
impl Hints for Connection {
    async fn notify_commit(&self, payload: &str) -> Result<(), MetastoreError> {
        let send = self.call("notify_commit", |_, _| {
            // An error says that nobody listens.
            let _heard = self.database.hints.0.send(payload.to_owned());
        });
        send.await
    }

    fn hint_source(&self) -> Box<dyn HintSource> {
        Box::new(Listener {
            weather: Arc::clone(&self.weather),
            hints: self.database.hints.0.subscribe(),
        })
    }
}

#[derive(Debug)]
struct Listener {
    weather: Arc<dyn Weather>,
    hints: broadcast::Receiver<String>,
}

#[async_trait]
impl HintSource for Listener {
    async fn recv(&mut self) -> String {
        loop {
            match self.hints.recv().await {
                Ok(hint) if !self.weather.loses_hint() => return hint,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // The database is gone: no hint will ever come.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
