//! Random histories of commits on a real Postgres equal a model in memory, whatever committers do at once and wherever
//! they die.
//!
//! Each history is drawn from a seed: objects of several streams, their footers delivered late, twice, reversed or
//! never, producers that send again, leave gaps and change epochs, topics deleted and producers expired in between.
//! Several committers work at once; some are cut off between two statements, lose their connection, or never hear that
//! they committed. Which stream commits first is Postgres's choice; replayed in that order in the model, every outcome,
//! index row and producer must be the same (`judge`), and what must hold of any order is checked without the decision.
//!
//! Seen to fail, within 150 histories each, when the rows are read before they are locked, when streams or partitions are
//! not locked, when the gate lets a slot pass that is not next, when a duplicate is appended, when the end of a stream
//! is not written, and (as it was found) when a BEGIN is dropped half-way. The order of locks has a test of its own
//! (`commit_concurrent.rs`): streams in common hide it here.
//!
//! A failure prints its seed. `YAKS_HISTORY_SEED=7 cargo test -p metastore --test histories` plays that one again and
//! again: the same objects and steps; how the committers interleave is up to the machine. `YAKS_HISTORIES=2000` plays
//! more of them.

#[path = "../commit_support/mod.rs"]
mod cluster;
mod history;
mod judge;
mod play;
mod producers;
mod recorded;
mod sequences;
mod tally;

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use sqlx::PgPool;

use crate::cluster::Cluster;
use crate::history::History;
use crate::play::Play;
use crate::recorded::OnPostgres;
use crate::tally::Tally;

/// Histories, unless `YAKS_HISTORIES` says otherwise.
const HISTORIES: u64 = 500;

/// How often one history is played again when `YAKS_HISTORY_SEED` names it.
const REPLAYS: usize = 50;

/// Histories under way at once: they share a database, and none sees another's rows.
const AT_ONCE: usize = 10;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn seeds() -> Vec<u64> {
    match setting("YAKS_HISTORY_SEED") {
        Some(seed) => vec![seed; REPLAYS],
        None => (0..setting("YAKS_HISTORIES").unwrap_or(HISTORIES)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn histories_on_postgres_equal_the_model() {
    let cluster = Arc::new(Cluster::new().await);
    let raw = PgPool::connect(&cluster.url()).await.expect("Postgres answers");
    let tally = Arc::new(Tally::default());
    let seeds = seeds();
    let histories = seeds.iter().map(|&seed| {
        let played = tokio::spawn(play_one(seed, Arc::clone(&cluster), raw.clone(), Arc::clone(&tally)));
        async move { played.await.is_err().then_some(seed) }
    });
    let failed: Vec<u64> = stream::iter(histories)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |seed| seed)
        .collect()
        .await;
    eprintln!("{} histories: {tally:?}", seeds.len());
    if let Some(seed) = failed.first() {
        eprintln!("{:#?}", History::of(*seed));
        panic!("histories {failed:?} failed; YAKS_HISTORY_SEED={seed} cargo test -p metastore --test histories");
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let deadlocks: i64 = sqlx::query_scalar(deadlocks)
        .fetch_one(&raw)
        .await
        .expect("Postgres answers");
    assert_eq!(deadlocks, 0);
    assert!(tally.is_complete() || seeds.len() < HISTORIES as usize, "{tally:?}");
}

async fn play_one(seed: u64, cluster: Arc<Cluster>, raw: PgPool, tally: Arc<Tally>) {
    let history = History::of(seed);
    let play = Play::set_up(history, cluster.id, &cluster.metastore, &raw, Arc::clone(&tally)).await;
    let told = play.play().await;
    let numbers: Vec<_> = play.topics.iter().map(|topic| topic.number).collect();
    let postgres = OnPostgres::read(&raw, &play.streams, &numbers).await;
    judge::judge(&play, &told, &postgres).await;
    tally.note(&told.results, &postgres.recorded);
}
