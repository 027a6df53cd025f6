//! The parts of yaks that are measured by themselves, on a real Postgres and in small.

use std::time::Duration;

use bench::commits::{Amount, Choice, Commits};
use bench::planning;

/// An error tells that a slot was not committed whole; what is counted is what was due.
#[test]
fn commits_and_bare_transactions_take_turns_and_each_slot_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let amount = Amount {
        partitions: 120,
        slots_per_s: 20.0,
        turns: 2,
        turn: Duration::from_secs(1),
    };
    let commits = Commits::start(directory.path(), amount, 1).unwrap();
    for choice in [Choice::Random, Choice::Same] {
        let compared = commits.compare(choice).unwrap();
        assert_eq!((compared.commit.count, compared.bare.count), (40, 40));
        assert!(compared.commit.p50_ms > 0.0 && compared.bare.p50_ms > 0.0);
    }
    assert!(commits.full_rate().unwrap() > 0.0);
    drop(commits);
    assert!(!directory.path().join("postgres").exists(), "its data are deleted");
}

/// An error tells that a plan named the wrong row.
#[test]
fn every_position_of_a_filled_log_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let amount = planning::Amount {
        index_rows: 20_000,
        plans: 20,
    };
    let planned = planning::measure(directory.path(), amount, 1).unwrap();
    assert_eq!(planned.plan.count, 20);
}
