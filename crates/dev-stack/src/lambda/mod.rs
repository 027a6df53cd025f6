//! A Lambda service for one function on one machine.
//!
//! The function is the deployed binary, unchanged: it takes its invocations from the Runtime API (`runtime_api`), which
//! every instance finds on a port of its own, so that we know which instance has which invocation. Invocations come
//! from the event source mapping, the schedule and the Invoke API (`invoke_api`). As on AWS an instance works on one
//! invocation at a time, and one that takes longer than the function's timeout is killed and replaced.

mod function;
mod instance;
mod invocation;
mod invoke_api;
mod runtime_api;

pub use function::{Function, FunctionConfig, OnDeath};
pub use invocation::{Failure, Outcome};
pub use invoke_api::invoke_routes;
