//! The command line of `yaks-conformance`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::FalseyValueParser;

use crate::catalog::{self, CLIENTS, Client};
use crate::layout::Layout;

/// Runs every client's story in every layout. Exit code 0: nothing failed; 1: not so; 2: could not run.
#[derive(Clone, Debug, Parser)]
#[command(name = "yaks-conformance", version = types::version())]
pub(crate) struct Config {
    /// Which clients, with commas between them; all when none is named.
    #[arg(long, value_delimiter = ',', value_parser = catalog::find)]
    clients: Vec<&'static Client>,
    /// Which layouts, with commas between them; all when none is named.
    #[arg(long, value_delimiter = ',', value_enum)]
    layouts: Vec<Layout>,
    /// The folder that install.sh has filled.
    #[arg(long, default_value = "target/conformance")]
    pub(crate) installed: PathBuf,
    /// How many clients run at a time. They mostly wait for each other's groups.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) jobs: u8,
    /// How long a client may take, in seconds.
    #[arg(long, default_value_t = 600)]
    timeout_s: u64,
    /// A broker that runs already, `host:port`, in place of all layouts: Apache Kafka, to see that the story is true.
    #[arg(long)]
    pub(crate) against: Option<String>,
    /// Whether a client that could not be installed counts as a failure. On where `CI` is set.
    #[arg(long, env = "CI", value_parser = FalseyValueParser::new())]
    pub(crate) all_must_run: bool,
    /// Writes the tables into this document. All clients and all layouts have to be run for it.
    #[arg(long)]
    pub(crate) write_docs: Option<PathBuf>,
    /// The folder with the agent's programs; the default is this program's own.
    #[arg(long)]
    pub(crate) binaries: Option<PathBuf>,
}

impl Config {
    pub(crate) fn clients(&self) -> Vec<&'static Client> {
        let wanted = |client: &&Client| self.clients.is_empty() || self.clients.contains(client);
        CLIENTS.iter().filter(wanted).collect()
    }

    pub(crate) fn layouts(&self) -> Vec<Layout> {
        let wanted = |layout: &Layout| self.layouts.is_empty() || self.layouts.contains(layout);
        Layout::ALL.into_iter().filter(wanted).collect()
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// Whether nothing is left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.against.is_none() && self.clients().len() == CLIENTS.len() && self.layouts().len() == Layout::ALL.len()
    }
}
