//! What every long-running yaks process does besides its work: settings with aliases, tracked tasks, ordered
//! shutdown, and the admin port with health and metrics.

mod admin;
mod limits;
mod probe;
mod readiness;
mod settings;
mod tasks;

pub use admin::{ListenError, bind, health_routes, serve, serve_admin, spawn_upkeep};
pub use limits::raise_nofile_limit;
pub use probe::ask_livez;
pub use readiness::{Condition, Readiness};
pub use settings::{Alias, alias_env, parse_settings};
pub use shutdown::token_on_signal;
pub use tasks::{AbortOnDrop, StillRunning, Tasks};
