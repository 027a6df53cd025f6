//! Runs of fixed seeds: nothing is wrong in any of them.

use sim::logs::Logs;
use sim::simulate;

/// Seeds that once found something, and what.
const FOUND: [(u64, &str); 4] = [
    (
        1007,
        "a fetch planned from memory span while the watch knew a later end",
    ),
    (1008, "an agent without connections panicked when it was told to stop"),
    (
        21,
        "a slot pending behind the end that the sweep set stayed pending for ever",
    ),
    (33, "waiters were woken in a random order"),
];

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(simulate(1, Logs::None).transcript, simulate(2, Logs::None).transcript);
}

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, found) in FOUND {
        let pages = simulate(seed, Logs::None);
        assert_eq!(pages.violations, Vec::<String>::new(), "seed {seed}: {found}");
    }
}

#[test]
fn a_few_seeds_find_nothing_wrong() {
    for seed in 0..12 {
        let pages = simulate(seed, Logs::None);
        assert_eq!(pages.violations, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn faults_of_every_kind_are_met() {
    let mut met = std::collections::BTreeSet::new();
    for seed in 100..130 {
        met.extend(simulate(seed, Logs::None).counts.into_keys());
    }
    for kind in [
        "connection cut",
        "event doubled",
        "event late",
        "event lost",
        "event redelivered",
        "events reversed",
        "function crashed",
        "function frozen",
        "postgres failed",
        "postgres unanswered",
        "s3 Put AnswerLost",
        "s3 Put HappensLater",
        "s3 request of the dead",
        "s3 timed out",
        "strike: agent killed",
        "strike: agent paused",
        "strike: agent told to stop",
        "strike: stuck PUTs",
        "batch dropped as duplicate",
        "yaks_fenced_streams_total",
        "yaks_orphans_deleted_total",
    ] {
        assert!(met.contains(kind), "{kind} was never met in {met:?}");
    }
}
