//! The heart of yaks: which slots commit now, which offset each batch gets, and what is refused and why.
//!
//! Pure. The metastore locks and reads rows, asks [`decide`], and writes what it says; the simulator and the property
//! tests ask the same function. What always holds (docs/ARCHITECTURE.md): slots of a stream commit in order and
//! without a hole, a slot commits once, a partition's offsets are contiguous, and every batch has exactly one outcome.

mod decide;
pub mod invoke;
mod outcome;
mod producer;
mod state;

pub use decide::{Decision, IndexRow, NewObject, SlotVerdict, decide};
pub use outcome::{BatchOutcome, OutcomesError, decode_outcomes, encode_outcomes};
pub use producer::{ProducerState, RememberedBatch};
pub use state::{LockedState, PartitionState, SlotFooter, StreamState};
