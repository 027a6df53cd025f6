//! The function that gives every uploaded batch its offset: objects in, rows in Postgres out.
//!
//! It is told about new objects by S3 (directly, through SQS or through EventBridge) or by an agent that invokes it,
//! and a schedule makes it sweep after agents that are gone. Without Lambda it reads the queue itself (`worker`). What an invocation is told may be late, doubled, out of
//! order or about something else: the decision is the commit's (`metastore::Committer`), and it is made once. Kafka is
//! never parsed here: the agent has put what the commit needs into the object's footer.

pub mod config;
pub mod context;
mod dead_letters;
pub mod error;
pub mod event;
pub mod handler;
mod invoke;
pub mod limits;
pub mod materialize;
mod metrics;
mod orphans;
pub mod queue;
pub mod sweep;
pub mod worker;

pub use config::Config;
pub use context::{Context, Graces};
pub use dead_letters::DeadLetters;
pub use metrics::METRICS;
