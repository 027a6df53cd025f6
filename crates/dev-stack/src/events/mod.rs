//! From a PUT to the function, as AWS wires it: S3 event, SQS queue, event source mapping.
//!
//! The queue lives in memory. What waits in it when we stop is lost, as an event may always be (docs/ARCHITECTURE.md): agents
//! commit a slot themselves when its event does not come, the sweep does it for agents that are gone.

mod delivery;
mod faults;
mod notification;
mod queue;

pub use delivery::{EventSource, delay_for, deliver};
pub use faults::{EventFault, EventFaults};
pub(crate) use notification::rfc3339;
pub use notification::s3_event;
pub use queue::{EventQueue, QueueConfig, Received};
