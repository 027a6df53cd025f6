//! The Grafana dashboard asks for what there is. Grafana itself is not needed to know: its panels are questions to Prometheus.

mod picture;
mod prometheus;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bench::config::{ProduceFlags, TargetFlags};
use bench::load::{self, Plan};
use bench::units::Rate;
use dev_stack::Switch;
use prices::Prices;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::kafka::{Kafka, PATIENCE};
use crate::metrics::documented;
use crate::running::Running;
use prometheus::{Line, Prometheus};

const DASHBOARD: &str = include_str!("../../../../../localstack/grafana/yaks.json");

/// What Grafana puts for `$__rate_interval` where Prometheus scrapes every second and somebody is in a hurry.
const RATE_INTERVAL: &str = "10s";

const PARTITIONS: i32 = 6;

/// A panel, and its questions with the names of their answers.
struct Panel {
    title: String,
    unit: String,
    questions: Vec<(String, String)>,
}

fn panels() -> Vec<Panel> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let asking = panels.filter(|panel| panel["type"] != "row");
    asking
        .map(|panel| Panel {
            title: text(&panel["title"]),
            unit: text(&panel["fieldConfig"]["defaults"]["unit"]),
            questions: panel["targets"]
                .as_array()
                .unwrap()
                .iter()
                .map(|target| (text(&target["expr"]), text(&target["legendFormat"])))
                .collect(),
        })
        .collect()
}

/// Names of ours in a question, a histogram's without what Prometheus adds.
fn metrics_of(question: &str) -> BTreeSet<String> {
    let words = question.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("yaks_"));
    ours.map(|name| name.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn every_panel_asks_only_for_metrics_that_the_page_lists() {
    let sections = [
        "metrics:agent",
        "metrics:metastore",
        "metrics:storage",
        "metrics:cache",
        "metrics:process",
    ];
    let listed: BTreeSet<String> = sections
        .iter()
        .flat_map(|section| documented(section).into_keys())
        .collect();
    let panels = panels();
    assert!(panels.len() > 10, "they are found");
    for panel in panels {
        for (question, _) in &panel.questions {
            let asked = metrics_of(question);
            assert!(!asked.is_empty(), "'{}' asks for none: {question}", panel.title);
            assert!(asked.is_subset(&listed), "'{}' asks for {asked:?}", panel.title);
        }
    }
}

#[test]
fn requests_cost_what_the_price_file_says() {
    let prices = Prices::built_in();
    let panel = panels()
        .into_iter()
        .find(|panel| panel.title.contains("dollars per hour"));
    let price_of = |(question, _): &(String, String)| -> f64 {
        let factors = question.strip_prefix("3600 * ").expect("per hour");
        factors.split(' ').next().unwrap().parse().unwrap()
    };
    let asked: Vec<f64> = panel.unwrap().questions.iter().map(price_of).collect();
    let expected = [prices.put(), prices.get()];
    assert!(
        asked
            .iter()
            .zip(expected)
            .all(|(asked, expected)| (asked / expected - 1.0).abs() < 1e-9),
        "{asked:?} for {expected:?}"
    );
}

/// With `YAKS_UPDATE_DOCS` it takes longer, and draws docs/img/dashboard.svg from the answers.
#[test]
fn every_panel_has_data_where_prometheus_scrapes_a_stack_under_load() {
    let Some(program) = prometheus::find() else {
        return;
    };
    let draws = std::env::var_os("YAKS_UPDATE_DOCS").is_some();
    let seconds = if draws { 60 } else { 25 };
    let stack = Running::start(2, |config| {
        // Sidecars that start with nothing ask S3.
        config
            .sidecar_env
            .push(("YAKS_CACHE_DISK_MB".to_owned(), "0".to_owned()));
    });
    let agents = &stack.stack().config().agents;
    let prometheus = Prometheus::start(
        &program,
        &[
            ("agents", agents.iter().map(|ports| ports.admin).collect()),
            ("sidecars", agents.iter().map(|ports| ports.sidecar).collect()),
        ],
    );
    put_under_load(&stack, Duration::from_secs(seconds));

    let mut answers = Vec::new();
    for panel in panels() {
        let mut lines: Vec<Line> = Vec::new();
        for (question, legend) in &panel.questions {
            let question = question.replace("$__rate_interval", RATE_INTERVAL);
            let answer = prometheus.ask(&question, legend);
            let has_data = answer.iter().any(|line| !line.points.is_empty());
            assert!(has_data, "'{}' has no data: {question}", panel.title);
            lines.extend(answer);
        }
        answers.push((panel, lines));
    }
    if draws {
        let drawn = picture::svg(&answers);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/img/dashboard.svg");
        std::fs::write(path, drawn).unwrap();
    }
}

fn read_from_the_start(kafka: &Kafka, topic: &str) {
    let reader = kafka.consumer_with(&[("group.id", "late")]);
    let mut partitions = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|partition| {
        let added = partitions.add_partition_offset(topic, partition, Offset::Beginning);
        added.unwrap();
    });
    reader.assign(&partitions).unwrap();
    let read = reader.poll(PATIENCE).expect("there is something to read");
    read.unwrap();
}

/// Producers, readers at the tail, a group that is slow, and halfway sidecars that have forgotten everything, and one who wants what they
/// had: those at the tail may have asked for nothing while they were away.
fn put_under_load(stack: &Running, time: Duration) {
    let kafka = stack.kafka();
    let topic = kafka.create_topic("dashboard", PARTITIONS);
    let plan = Plan {
        name: "dashboard".to_owned(),
        target: TargetFlags {
            brokers: stack.stack().bootstrap(),
            ..TargetFlags::default()
        },
        produce: ProduceFlags {
            topic: Some(topic.clone()),
            rate: Some(Rate::Records(300.0)),
            producers: 2,
            warm_up: Duration::ZERO,
            duration: time,
            ..ProduceFlags::default()
        },
        tail_groups: 1,
        lagging: None,
    };
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load::produce(&plan).unwrap());
        scope.spawn(|| {
            let slow = kafka.consumer_with(&[("group.id", "slow"), ("auto.offset.reset", "earliest")]);
            slow.subscribe(&[topic.as_str()]).unwrap();
            let started = Instant::now();
            let mut committed = started;
            while started.elapsed() < time {
                // Some two hundred records a second.
                std::thread::park_timeout(Duration::from_millis(5));
                let _ = slow.poll(Duration::ZERO);
                if committed.elapsed() > Duration::from_secs(1) {
                    committed = Instant::now();
                    let _ = slow.commit_consumer_state(CommitMode::Async);
                }
            }
        });
        scope.spawn(|| {
            std::thread::park_timeout(time / 2);
            (0..2).for_each(|n| {
                stack.kill_sidecar(n);
                stack.switch_sidecar(n, Switch::Start);
            });
            read_from_the_start(&kafka, &topic);
        });
        load.join().unwrap();
    });
}
