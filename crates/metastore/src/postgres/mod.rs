//! The metastore in Postgres: one module per table, longer statements in `queries/<table>/<verb>.sql`.

mod audits;
mod cluster;
mod commit_tx;
mod connections;
mod consumer_groups;
mod error;
mod group_offsets;
mod hints;
mod iam_token;
mod leases;
mod lifecycle;
mod log_index;
mod migrate;
mod orphans;
mod partitions;
mod pending_slots;
mod producer_ids;
mod producer_states;
mod roles;
mod streams;
mod sweeps;
mod topics;
mod transaction;

pub(crate) use lifecycle::Postgres;

/// The span of a statement that somebody waits for.
fn sql(statement: &'static str) -> tracing::Span {
    tracing::debug_span!("sql", statement)
}
