//! What a layout stands on: the stack, and nginx before it where there is one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dev_stack::{Stack, StackConfig};

use crate::config::Config;
use crate::layout::Layout;
use crate::nginx::Nginx;

/// Running brokers.
pub(crate) struct Ground {
    /// What clients are told.
    pub(crate) bootstrap: String,
    stack: Option<Stack>,
    // Only held.
    _nginx: Option<Nginx>,
}

impl Ground {
    /// Somebody else's brokers.
    pub(crate) fn of_others(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            stack: None,
            _nginx: None,
        }
    }

    pub(crate) async fn start(config: &Config, layout: Layout) -> Result<Self> {
        let stack = StackConfig::for_tests(layout.agents(), binaries(config)?)?;
        match layout {
            Layout::One | Layout::Two => Self::bare(stack).await,
            Layout::Nginx => Self::behind_nginx(config, stack).await,
        }
    }

    async fn bare(stack: StackConfig) -> Result<Self> {
        let stack = Stack::start(stack).await?;
        Ok(Self {
            bootstrap: stack.bootstrap(),
            stack: Some(stack),
            _nginx: None,
        })
    }

    async fn behind_nginx(config: &Config, mut stack: StackConfig) -> Result<Self> {
        let port = private_postgres::free_port()?;
        stack
            .agent_env
            .push(("YAKS_ADVERTISED_PORT".to_owned(), port.to_string()));
        let agents: Vec<u16> = stack.agents.iter().map(|agent| agent.kafka).collect();
        let folder = stack.data_dir.join("nginx");
        let stack = Stack::start(stack).await?;
        let installed = std::fs::canonicalize(&config.installed)?;
        let nginx = Nginx::start(&installed, &folder, port, &agents).await?;
        Ok(Self {
            bootstrap: format!("localhost:{port}"),
            stack: Some(stack),
            _nginx: Some(nginx),
        })
    }

    /// Waits until a part ends that nobody asked to end, and tells how.
    pub(crate) async fn died(&self) -> String {
        match &self.stack {
            Some(stack) => {
                let death = stack.died().await;
                format!("{} ended ({}):\n{}", death.part, death.how, death.log_tail)
            }
            None => std::future::pending().await,
        }
    }

    /// Stops it. Its data are kept, for whoever wants to see why, unless all went well.
    pub(crate) async fn stop(self, keep: bool) -> Option<PathBuf> {
        let stack = self.stack?;
        let folder = stack.config().data_dir.clone();
        stack.stop(&|_, _| {}).await;
        if keep {
            return Some(folder);
        }
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "cannot be removed");
        }
        None
    }
}

fn binaries(config: &Config) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let beside = own.parent().unwrap_or(Path::new(".")).to_owned();
    Ok(config.binaries.clone().unwrap_or(beside))
}
