//! What an audit is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use metastore::PostgresConfig;
use storage::S3Config;

use super::AuditOptions;
use crate::config::parse_duration;

/// The flags of `yaks-oracle audit`: the agent's own settings of Postgres and S3, and how to look.
#[derive(Args, Clone, Debug)]
pub struct AuditConfig {
    /// Where the index is.
    #[command(flatten)]
    pub postgres: PostgresConfig,

    /// Where the objects are.
    #[command(flatten)]
    pub s3: S3Config,

    /// Objects that are read together; each takes 8 MiB of memory, or the size of its largest batch.
    #[arg(long, default_value_t = 8, value_name = "OBJECTS", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,

    /// How long an object may lie in a slot without being indexed: 500ms, 60s, 5m.
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    pub unsequenced_max_age: Duration,

    /// File that keeps where the audit stands: a later run with the same file goes on there. Deleted at the end.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// One JSON object per line instead of text.
    #[arg(long)]
    pub json: bool,
}

impl AuditConfig {
    pub(super) fn options(&self) -> AuditOptions {
        AuditOptions {
            concurrency: usize::from(self.concurrency),
            unsequenced_max_age: self.unsequenced_max_age,
        }
    }
}
