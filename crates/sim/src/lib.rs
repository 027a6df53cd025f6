//! The simulator: agents, function and everything they stand on in one process, on one thread, in virtual time. A seed says what goes
//! wrong and when; the oracle judges every run; the same seed gives the same run, byte for byte.
//!
//! What is real: `agent::run`, `materializer_fn::handler` (events, commit requests and the sweep), the committer and the decision
//! below them, the Kafka protocol over connections in memory. What is played: S3 and its events, Postgres (`metastore::memory`),
//! Lambda, the network, time, and the clients.
//!
//! [`simulate`] lives through one seed.

pub mod bucket;
pub mod client;
pub mod climate;
pub mod clock;
pub mod events;
pub mod fleet;
pub mod function;
pub mod judge;
pub mod logs;
pub mod network;
pub mod panics;
pub mod plan;
pub mod process;
pub mod random;
pub mod recorder;
pub mod run;
pub mod scribe;
pub mod services;
pub mod strikes;
pub mod watched;

use tokio::runtime::Builder;

use crate::logs::Logs;
use crate::plan::Plan;
use crate::recorder::Tally;
use crate::scribe::{Pages, Scribe};

/// Lives through the run of `seed`, and says what happened.
pub fn simulate(seed: u64, logs: Logs) -> Pages {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without threads or sockets can be made");
    let tally = Tally::default();
    let (mut pages, panics) = panics::collect(|| {
        metrics::with_local_recorder(&tally, || {
            runtime.block_on(async {
                let scribe = Scribe::start();
                let _logging = logs.write_to(&scribe);
                run::live_through(Plan::of(seed), scribe.clone()).await;
                scribe.add("virtual seconds", scribe.seconds() as u64);
                scribe.copy()
            })
        })
    });
    pages.violations.extend(panics);
    pages.counts.extend(tally.counts());
    pages
}
