//! The read path: plan, read, assemble, wait.

pub mod assemble;
pub mod by_time;
pub mod plan;
pub mod read;
pub mod wait;
