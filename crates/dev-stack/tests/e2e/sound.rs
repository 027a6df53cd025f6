//! The oracle's own run, at the size the README shows.

use std::collections::BTreeSet;

use oracle::Compression;

use crate::kafka::{at_offsets, values};
use crate::running::Running;

#[test]
fn the_oracle_passes_with_50_producers_on_one_agent() {
    let stack = Running::start(1, |_| ());
    let report = stack.oracle(|config| config.compression = Compression::Mixed);
    assert!(report.passed(), "{report}");
    assert_eq!((report.totals.acked, report.totals.read), (10_000, 10_000), "{report}");
    assert_eq!(report.totals.acked_without_offset, 0, "{report}");
}

#[test]
fn the_oracle_passes_with_50_producers_spread_over_two_agents() {
    let stack = Running::start(2, |_| ());
    let report = stack.oracle(|config| config.idempotent = true);
    assert!(report.passed(), "{report}");
    assert_eq!((report.totals.acked, report.totals.read), (10_000, 10_000), "{report}");
}

#[test]
fn two_agents_are_one_cluster() {
    let stack = Running::start(2, |_| ());
    let [one, other] = [stack.kafka_at(0), stack.kafka_at(1)];
    let ids: BTreeSet<_> = one.brokers().into_iter().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids, other.brokers().into_iter().collect());
    let topic = one.create_topic("shared", 4);
    for partition in 0..4 {
        let values = values(50);
        one.produce_all(&topic, partition, &values, &[]);
        assert_eq!(other.read(&topic, partition, 0, 50), at_offsets(0, &values));
    }
}
