//! The write path: validate, buffer, seal, PUT, commit, ack.
//!
//! `validate`, `buffer`, `object` and `stream` are pure: they say what should happen. `writer` owns their state and is
//! the only one to change it; `uploader`, `commit_watcher` and `leave` make things happen and tell the writer.

pub mod ack;
pub mod buffer;
pub mod commit_watcher;
pub mod invoke;
pub mod leave;
pub mod object;
pub mod stream;
pub mod unknown_offset;
pub mod uploader;
pub mod validate;
pub mod writer;
