//! The whole oracle against librdkafka's own mock brokers: they keep their promises, and the oracle has to say so; records that
//! somebody else slips in, it has to notice.

#![expect(clippy::unwrap_used, reason = "a test fails where its setting up does")]

use std::time::Duration;

use oracle::{Acks, Compression, Invariant, Oracle, OracleConfig, Report};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn open(mock: &Mock, data_dir: &tempfile::TempDir, change: impl FnOnce(&mut OracleConfig)) -> Oracle {
    let mut config = OracleConfig {
        brokers: mock.bootstrap_servers().split(',').map(str::to_owned).collect(),
        producers: 4,
        records: 50,
        seed: Some(1),
        consume_timeout: Duration::from_secs(30),
        data_dir: data_dir.path().to_owned(),
        ..OracleConfig::default()
    };
    change(&mut config);
    let partitions = config.partitions;
    let oracle = Oracle::open(config).unwrap();
    for topic in oracle.topics() {
        mock.create_topic(&topic, partitions, 1).unwrap();
    }
    oracle
}

fn produce_and_verify(oracle: &Oracle) -> Report {
    oracle.produce(&|_| ()).unwrap();
    oracle.verify(&|_| ()).unwrap()
}

fn broken(report: &Report) -> Vec<Invariant> {
    report
        .verdicts
        .iter()
        .filter(|verdict| !verdict.passed())
        .map(|verdict| verdict.invariant)
        .collect()
}

#[test]
fn an_honest_cluster_passes_with_every_codec() {
    let (mock, data_dir) = (Mock::new(2).unwrap(), tempfile::tempdir().unwrap());
    let oracle = open(&mock, &data_dir, |config| {
        config.producers = 5;
        config.compression = Compression::Mixed;
    });
    let report = produce_and_verify(&oracle);
    assert!(report.passed(), "{report}");
    assert_eq!(
        (report.totals.sent, report.totals.acked, report.totals.read),
        (250, 250, 250)
    );
    assert_eq!(report.totals.acked_without_offset, 0);
    assert_eq!(report.verdicts.len(), 6);
    assert!(oracle.ledger_path().starts_with(data_dir.path()));
}

#[test]
fn idempotent_producers_are_asked_the_seventh_question() {
    let (mock, data_dir) = (Mock::new(1).unwrap(), tempfile::tempdir().unwrap());
    let report = produce_and_verify(&open(&mock, &data_dir, |config| config.idempotent = true));
    assert!(report.passed(), "{report}");
    assert_eq!(report.verdicts.last().unwrap().invariant, Invariant::Idempotence);
}

#[test]
fn acks_1_passes() {
    let (mock, data_dir) = (Mock::new(1).unwrap(), tempfile::tempdir().unwrap());
    let report = produce_and_verify(&open(&mock, &data_dir, |config| config.acks = Acks::One));
    assert!(report.passed(), "{report}");
}

#[test]
fn a_second_round_of_producers_is_judged_together_with_the_first() {
    let (mock, data_dir) = (Mock::new(1).unwrap(), tempfile::tempdir().unwrap());
    let oracle = open(&mock, &data_dir, |_| ());
    assert!(produce_and_verify(&oracle).passed());
    let report = produce_and_verify(&oracle);
    assert!(report.passed(), "{report}");
    assert_eq!(report.totals.read, 400);
}

#[test]
fn a_record_that_somebody_else_wrote_is_a_phantom() {
    let (mock, data_dir) = (Mock::new(1).unwrap(), tempfile::tempdir().unwrap());
    let oracle = open(&mock, &data_dir, |_| ());
    let stranger: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", mock.bootstrap_servers())
        .create()
        .unwrap();
    stranger
        .send(
            BaseRecord::to(&oracle.topics()[0])
                .partition(0)
                .key("who")
                .payload("me"),
        )
        .unwrap();
    stranger.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(broken(&produce_and_verify(&oracle)), [Invariant::NoPhantoms]);
}

#[test]
fn a_cluster_that_acks_nothing_is_no_verdict_but_an_error() {
    let (mock, data_dir) = (Mock::new(1).unwrap(), tempfile::tempdir().unwrap());
    let oracle = open(&mock, &data_dir, |config| {
        config.delivery_timeout = Duration::from_secs(1)
    });
    mock.broker_down(-1).unwrap();
    assert_eq!(oracle.produce(&|_| ()).unwrap().acked, 0);
    mock.broker_up(-1).unwrap();
    let error = oracle.verify(&|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("none of 200 records was acked"), "{error}");
}
