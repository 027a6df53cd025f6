//! The loads: producers and readers, each a librdkafka client in a thread of its own, and the parts of a run that are measured.

pub mod client;
mod consume;
pub mod crowd;
pub mod idle;
mod produce;
mod producer;
mod reader;
mod run_clock;
mod tally;

pub use consume::consume;
pub use produce::{Lagging, Plan, produce};

use std::time::Duration;

/// How often it is looked whether a part of a run is over.
const LOOK: Duration = Duration::from_millis(20);
