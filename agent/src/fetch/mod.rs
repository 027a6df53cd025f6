//! The read path: plan in Postgres, read through the sidecar or S3, assemble whole batches, or wait for a commit.
//!
//! `plan`, `spread`, `layout`, `assemble`, `by_time` and `session` are pure; `read`, `reading`, `wait` and `serve` make things happen.

pub mod assemble;
pub mod by_time;
pub mod cursors;
pub mod layout;
pub mod plan;
pub mod planner;
pub mod read;
pub mod reading;
pub mod remembered;
pub mod ring;
pub mod search;
pub mod serve;
pub mod session;
pub mod sessions;
pub mod spread;
pub mod wait;
