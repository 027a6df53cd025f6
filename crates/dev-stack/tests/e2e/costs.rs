//! What topics cost is what S3 was asked for because of them.

use std::time::{Duration, Instant};

use dev_stack::Switch;
use dev_stack::s3::Operation;
use prices::Prices;

use crate::kafka::PATIENCE;
use crate::running::{Running, agent_env, try_http_get};

const ROUNDS: usize = 3;
/// Of every four records, this many are the large topic's.
const LARGE_OF_FOUR: usize = 3;
const RECORDS: usize = 40;
/// So large that the headers of batches do not count.
const RECORD_BYTES: usize = 20_000;
/// Long before what was spent is older than the minute that is shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);

/// Two topics, three quarters and one quarter of the bytes of every object.
struct TwoTopics {
    large: String,
    small: String,
}

fn start() -> Running {
    Running::start(1, |config| {
        // One object takes what both topics are sent at a time.
        agent_env(config, "YAKS_LINGER_MS", "2000");
        agent_env(config, "YAKS_FLUSH_INTERVAL_MS", "2000");
        // A sidecar that starts with nothing asks S3.
        let no_disk = ("YAKS_CACHE_DISK_MB".to_owned(), "0".to_owned());
        config.sidecar_env.push(no_disk);
    })
}

fn write(stack: &Running) -> TwoTopics {
    let kafka = stack.kafka();
    let (large, small) = (kafka.create_topic("large", 1), kafka.create_topic("small", 1));
    let producer = kafka.producer(&[("linger.ms", "100")]);
    for _ in 0..ROUNDS {
        for n in 0..RECORDS {
            let topic = if n % 4 < LARGE_OF_FOUR { &large } else { &small };
            producer.send(topic, 0, &[b'x'; RECORD_BYTES]);
        }
        assert!(producer.deliveries().iter().all(Result::is_ok));
    }
    stack.wait_until_no_event_waits();
    TwoTopics { large, small }
}

fn requests(stack: &Running, operation: Operation) -> u64 {
    stack.stack().s3().stats().requests(operation)
}

/// Dollars an hour, of all topics or of one.
fn hourly(stack: &Running, topic: Option<&str>, kind: &str) -> f64 {
    let shown = stack.scrape(stack.stack().config().agents[0].admin);
    let of_kind = format!("kind=\"{kind}\"");
    let of_topic = topic.map(|topic| format!("topic=\"{topic}\""));
    let lines = shown.lines().filter(|line| {
        let is_named = of_topic.as_ref().is_none_or(|name| line.contains(name));
        line.starts_with("yaks_topic_dollars_per_hour{") && line.contains(&of_kind) && is_named
    });
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Waits until all topics together have spent so much in the last minute.
fn wait_until_spent(stack: &Running, kind: &str, dollars: f64) {
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let shown = hourly(stack, None, kind) / 60.0;
        if (shown / dollars - 1.0).abs() < 1e-6 {
            return;
        }
        assert!(Instant::now() < deadline, "{kind}: {shown} is shown, not {dollars}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Kills the sidecar and starts it with nothing.
fn forget(stack: &Running) {
    stack.kill_sidecar(0);
    stack.switch_sidecar(0, Switch::Start);
    let port = stack.stack().config().agents[0].sidecar;
    let deadline = Instant::now() + PATIENCE;
    while !try_http_get(port, "/readyz").is_ok_and(|answer| answer.split(' ').nth(1) == Some("200")) {
        assert!(Instant::now() < deadline, "the sidecar is not ready again");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn topics_pay_by_their_bytes_for_what_s3_is_asked() {
    let prices = Prices::built_in();
    let stack = start();
    let before = requests(&stack, Operation::PutObject);
    let TwoTopics { large, small } = write(&stack);
    let puts = (requests(&stack, Operation::PutObject) - before) as f64;
    wait_until_spent(&stack, "put", puts * prices.put());
    let commit = prices.queued_event() + prices.invocation() + prices.get();
    wait_until_spent(&stack, "commit", puts * commit);
    for kind in ["put", "commit"] {
        let ratio = hourly(&stack, Some(&large), kind) / hourly(&stack, Some(&small), kind);
        assert!((2.9..3.1).contains(&ratio), "{kind}: {ratio} to one");
    }
    assert_eq!(hourly(&stack, None, "get"), 0.0);

    let before = requests(&stack, Operation::GetObject);
    let spent_on_gets = || {
        let gets = requests(&stack, Operation::GetObject) - before;
        gets as f64 * prices.get()
    };
    forget(&stack);
    let of_small = ROUNDS * RECORDS * (4 - LARGE_OF_FOUR) / 4;
    assert_eq!(stack.kafka().read(&small, 0, 0, of_small).len(), of_small);
    let by_the_sidecar = stack.scrape(stack.stack().config().agents[0].sidecar);
    let none = r#"yaks_s3_requests_total{operation="GetObject",result="ok"} 0"#;
    assert!(!by_the_sidecar.contains(none), "it has asked S3");
    wait_until_spent(&stack, "get", spent_on_gets());
    assert_eq!(hourly(&stack, Some(&large), "get"), 0.0);

    stack.kill_sidecar(0);
    let of_large = ROUNDS * RECORDS * LARGE_OF_FOUR / 4;
    assert_eq!(stack.kafka().read(&large, 0, 0, of_large).len(), of_large);
    assert!(stack.metric_of_agent(0, "yaks_cache_fallbacks_total") > 0.0);
    wait_until_spent(&stack, "get", spent_on_gets());
    assert!(hourly(&stack, Some(&large), "get") > 0.0);
}

#[test]
fn topics_pay_for_their_bytes_in_s3_until_they_are_deleted() {
    let prices = Prices::built_in();
    let stack = start();
    let TwoTopics { large, small } = write(&stack);
    // Sizes are asked for once a minute, and at the start.
    stack.stop_agent(0);
    stack.start_agent(0);
    let storage = |topic: &str| format!("yaks_topic_storage_dollars_per_hour{{topic=\"{topic}\"}}");
    for (topic, of_four) in [(&large, LARGE_OF_FOUR), (&small, 4 - LARGE_OF_FOUR)] {
        let bytes = ROUNDS * RECORDS * of_four / 4 * RECORD_BYTES;
        let dollars = prices.stored_hour(bytes as f64);
        stack.wait_for_metric(0, &storage(topic), |shown| (1.0..1.01).contains(&(shown / dollars)));
    }
    stack.kafka().delete(&small).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while stack.metric(0, &storage(&small)).is_some() {
        assert!(Instant::now() < deadline, "the deleted topic is still shown");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert!(stack.metric(0, &storage(&large)).is_some());
    assert_eq!(hourly(&stack, Some(&small), "put"), 0.0);
}
