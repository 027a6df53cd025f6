//! The agent's memory: one setting, divided among all who hold bytes (docs/adr/0014-one-setting-bounds-memory.md).
//!
//! Bytes are counted before they are there, and until nobody holds them. Who finds nothing left waits, first come, first served, and
//! holds nothing of the same pool meanwhile. So a wait ends when others are done; with clients that do not take their answers it is
//! made to end (`pool.rs`).

pub mod budget;
pub(crate) mod meter;
pub mod pool;
