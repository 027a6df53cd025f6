//! What `yaks-dev` runs in the foreground: a stack that plays AWS, or one on an AWS that runs already.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::StackConfig;
use crate::outside::OutsideStack;
use crate::parts::Parts;
use crate::stack::{Death, Report, Stack};

/// A stack of either kind. Dropping it kills everything; `stop` is the orderly way.
#[derive(Debug)]
pub enum Running {
    /// It plays AWS itself.
    Playing(Stack),
    /// It uses somebody else's.
    Outside(OutsideStack),
}

impl Running {
    /// Starts what `config` asks for, and tells of every part as it becomes ready. Dropping the future ends what was started.
    pub async fn start_reporting(config: StackConfig, report: Report<'_>) -> Result<Self> {
        if config.outside.is_some() {
            return OutsideStack::start_reporting(config, report).await.map(Self::Outside);
        }
        Stack::start_reporting(config, report).await.map(Self::Playing)
    }

    /// Waits until a part ends that nobody asked to end.
    pub async fn died(&self) -> Death {
        match self {
            Self::Playing(stack) => stack.died().await,
            Self::Outside(stack) => stack.died().await,
        }
    }

    /// Stops everything in order.
    pub async fn stop(self, report: Report<'_>) {
        match self {
            Self::Playing(stack) => stack.stop(report).await,
            Self::Outside(stack) => stack.stop(report).await,
        }
    }

    /// `host:port` of every agent, comma-separated, as Kafka clients want it.
    pub fn bootstrap(&self) -> String {
        self.parts().bootstrap()
    }

    /// Where the parts log to.
    pub fn log_dir(&self) -> PathBuf {
        self.parts().log_dir()
    }

    /// Everything that is kept.
    pub fn data_dir(&self) -> &Path {
        &self.parts().config.data_dir
    }

    fn parts(&self) -> &Parts {
        match self {
            Self::Playing(stack) => &stack.parts,
            Self::Outside(stack) => &stack.parts,
        }
    }
}
