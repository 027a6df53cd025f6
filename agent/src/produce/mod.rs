//! The write path: validate, buffer, seal, PUT, commit, ack.

pub mod acks;
pub mod buffer;
pub mod commit_watcher;
pub mod stream;
pub mod uploader;
pub mod validate;
