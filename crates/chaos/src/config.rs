//! The command line of `yaks-chaos`.

use std::path::PathBuf;

use clap::Parser;

/// Runs the real programs under load and under faults of every kind, then heals, drains and judges. Exit code 0: nothing
/// acked was lost, doubled or reordered, and every kind of fault came while writes were in flight; 1: not so; 2: could not
/// run.
#[derive(Clone, Debug, Parser)]
#[command(name = "yaks-chaos", version = types::version())]
pub(crate) struct Config {
    /// How long load and faults last, at least; they go on until every kind of fault has had its turn.
    #[arg(long, default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Decides which faults come when; drawn and printed when not given. What the system makes of them is up to the
    /// machine's scheduler, so that a seed repeats the faults and not the run.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Agents.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=10))]
    pub(crate) agents: u16,
    /// Records per second of all producers together.
    #[arg(long, default_value_t = 9_000)]
    pub(crate) rate: u32,
    /// Producers of each kind of load.
    #[arg(long, default_value_t = 4)]
    pub(crate) producers: u32,
    /// `YAKS_COMMIT_PATH` of the agents.
    #[arg(long, default_value = "event")]
    pub(crate) commit_path: String,
    /// Where data, logs, ledgers and the report go, in a folder of the run's own.
    #[arg(long, default_value = ".yaks/chaos")]
    pub(crate) data_dir: PathBuf,
    /// The folder with the programs; the default is this program's own.
    #[arg(long)]
    pub(crate) binaries: Option<PathBuf>,
    /// Keeps data and ledgers of a run that passed.
    #[arg(long)]
    pub(crate) keep: bool,
}
