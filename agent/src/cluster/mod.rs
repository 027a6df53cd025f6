//! What an agent knows of its cluster: topics, live agents, its own lease, and who leads what for whom.

pub mod lease;
pub mod placement;
pub mod placements;
pub mod view;
