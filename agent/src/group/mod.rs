//! Consumer groups: who coordinates them, and what a coordinator does.
//!
//! Every group is coordinated by one live agent, named by rendezvous hashing ([`tenure`]). The coordinator *takes* the group's
//! row, which gives it a new coordinator epoch, and holds the group in memory in one task (`owner`). Memory is a view: whatever
//! changes the group is written under that epoch before anybody is told of it, and whoever finds its epoch gone forgets
//! the group. So a coordinator that was replaced, dead or paused, hands out no assignment and accepts no commit any more;
//! and what members have agreed on outlives it. A request that reaches another agent is passed on to the coordinator ([`relay`]).
//!
//! What a group *is* lies in pure state machines that know neither tasks nor tables: requests ([`ask::Ask`]) and the time come
//! in, answers go into an [`ask::Outbox`], and [`kind::Group`] says when it wants to be called again.
//!
//! There are two kinds: [`classic`], where members agree among themselves, and [`consumer`], where the coordinator assigns (KIP-848). Each has a
//! format of its own in `metastore::GroupState::content`; the row's `kind` tells which to load. A request may replace one kind by the
//! other in place (`migration`): `owner` only sees that the group has changed and saves it. Owner, store, tenure, relay,
//! expiry and the offsets' fence know nothing of either kind.

pub mod ask;
pub mod classic;
pub mod consumer;
pub mod coordinator;
pub mod expiry;
pub mod kind;
pub mod limits;
mod migration;
mod owner;
pub mod relay;
mod store;
pub mod tenure;
