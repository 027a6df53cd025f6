//! A Postgres of one's own, from the binaries that are installed on the machine.
//!
//! `make up` keeps one under `.yaks/`; tests share a throw-away one per process and take a database each. It listens on
//! the loopback interface only (a Unix socket's path may not be longer than 100 bytes), with fsync and
//! `synchronous_commit` on: what we measure and crash here has to behave like the real thing. It never outlives the
//! process that started it, however that ends (see `leash`).
//!
//! No async, no driver: databases are made with the `createdb` that lies beside the server.

mod binaries;
mod cluster;
mod error;
pub mod leash;
mod port;
mod server;
mod switches;
mod user;

pub use binaries::{Binaries, INSTALL_HINT};
pub use error::PrivatePostgresError;
pub use port::free_port;
pub use server::{Password, PrivatePostgres, PrivatePostgresConfig};
