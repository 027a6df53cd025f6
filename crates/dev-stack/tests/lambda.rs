//! The Lambda service with a real function process: `examples/echo_function.rs`, made with `lambda_runtime`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dev_stack::events::{EventQueue, EventSource, QueueConfig, deliver};
use dev_stack::lambda::{Failure, Function, FunctionConfig, OnDeath, Outcome, invoke_routes};
use dev_stack::part::PartCommand;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use types::{SystemClock, TimestampMs};

struct Fixture {
    function: Arc<Function>,
    log_dir: PathBuf,
}

impl Fixture {
    async fn start(timeout: Duration) -> Self {
        let log_dir = std::env::temp_dir().join(format!("yaks-lambda-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&log_dir).unwrap();
        let command = PartCommand {
            name: "echo".to_owned(),
            program: echo_function(),
            args: Vec::new(),
            env: Vec::new(),
            log_file: log_dir.join("echo.log"),
            grace: Duration::from_secs(5),
        };
        let config = FunctionConfig {
            name: "echo".to_owned(),
            command,
            log_dir: log_dir.clone(),
            instances: 2,
            timeout,
            on_death: OnDeath::Restart,
        };
        let function = Function::new(config, Arc::new(SystemClock));
        function.start().await.unwrap();
        Self { function, log_dir }
    }

    async fn ask(&self, request: Value) -> Outcome {
        self.function.invoke(Bytes::from(request.to_string())).await
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.log_dir);
    }
}

/// Cargo builds examples before it runs integration tests, into the folder beside the tests' own.
fn echo_function() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/echo_function")
}

fn success(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Success(body) => serde_json::from_slice(&body).unwrap(),
        Outcome::Failure(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn an_invocation_reaches_the_function_and_its_answer_comes_back() {
    let fixture = Fixture::start(Duration::from_secs(10)).await;
    let answer = success(fixture.ask(json!({"echo": "hello"})).await);
    assert_eq!(answer["echo"], "hello");
    assert!(answer["deadline_in_ms"].as_i64().unwrap() > 5_000, "{answer}");
    assert_eq!(answer["function_name"], "echo");
}

#[tokio::test]
async fn two_instances_work_at_once() {
    let fixture = Fixture::start(Duration::from_secs(10)).await;
    let (one, other) = tokio::join!(
        fixture.ask(json!({"meet": fixture.log_dir.join("one"), "with": fixture.log_dir.join("other")})),
        fixture.ask(json!({"meet": fixture.log_dir.join("other"), "with": fixture.log_dir.join("one")})),
    );
    assert_ne!(success(one)["process"], success(other)["process"]);
}

#[tokio::test]
async fn an_error_is_reported_and_the_instance_goes_on() {
    let fixture = Fixture::start(Duration::from_secs(10)).await;
    match fixture.ask(json!({"fail": "out of milk"})).await {
        Outcome::Failure(Failure::Reported(body)) => assert!(String::from_utf8_lossy(&body).contains("out of milk")),
        other => panic!("{other:?}"),
    }
    success(fixture.ask(json!({})).await);
}

#[tokio::test]
async fn a_function_that_takes_too_long_or_dies_is_replaced() {
    let fixture = Fixture::start(Duration::from_millis(300)).await;
    let outcome = fixture.ask(json!({"hang": true})).await;
    assert!(
        matches!(outcome, Outcome::Failure(Failure::TimedOut { .. })),
        "{outcome:?}"
    );
    let watcher = tokio::spawn({
        let function = Arc::clone(&fixture.function);
        async move {
            loop {
                function.deaths().await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let outcome = fixture.ask(json!({"exit": 3})).await;
    assert!(
        matches!(outcome, Outcome::Failure(Failure::Exited { .. })),
        "{outcome:?}"
    );
    for _ in 0..4 {
        success(fixture.ask(json!({})).await);
    }
    watcher.abort();
}

#[tokio::test]
async fn a_stopped_function_refuses_and_a_started_one_works_again() {
    let fixture = Fixture::start(Duration::from_secs(10)).await;
    fixture.function.stop().await;
    assert_eq!(fixture.ask(json!({})).await, Outcome::Failure(Failure::Throttled));
    fixture.function.start().await.unwrap();
    success(fixture.ask(json!({})).await);
}

#[tokio::test]
async fn the_invoke_api_answers_as_aws_does() {
    let fixture = Fixture::start(Duration::from_secs(10)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = invoke_routes(Arc::clone(&fixture.function));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let ask = async |name: &str, kind: &str, body: Value| {
        let request = Request::post(format!("http://{address}/2015-03-31/functions/{name}/invocations"))
            .header("x-amz-invocation-type", kind)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    };
    let (status, headers, body) = ask("echo", "RequestResponse", json!({"echo": 1})).await;
    assert_eq!((status, headers.get("x-amz-function-error")), (StatusCode::OK, None));
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["echo"], 1);
    let (status, headers, _) = ask("echo", "RequestResponse", json!({"fail": "no"})).await;
    assert_eq!(
        (status, headers["x-amz-function-error"].to_str().unwrap()),
        (StatusCode::OK, "Unhandled")
    );
    assert_eq!(ask("echo", "Event", json!({})).await.0, StatusCode::ACCEPTED);
    let (status, headers, _) = ask("other", "RequestResponse", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(headers["x-amzn-errortype"], "ResourceNotFoundException");
}

#[tokio::test]
async fn events_the_function_refuses_come_back_and_the_others_do_not() {
    let fixture = Fixture::start(Duration::from_secs(10)).await;
    let config = QueueConfig {
        visibility_timeout: Duration::from_millis(200),
        receives_max: 3,
        ..QueueConfig::default()
    };
    let queue = Arc::new(EventQueue::new(config));
    let delivery = tokio::spawn(deliver(
        EventSource::Sqs,
        Arc::clone(&queue),
        Arc::clone(&fixture.function),
        Arc::new(SystemClock),
    ));
    for body in ["good", "bad", "good"] {
        queue.send(body, Instant::now(), TimestampMs(0));
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !queue.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    delivery.abort();
    assert_eq!(queue.dead_letters(), ["bad"]);
}
