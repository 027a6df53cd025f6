//! The program itself, started as Lambda starts it, against a Runtime API of one connection at a time, and without Lambda.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use private_postgres::free_port;
use queue::FakeQueue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

mod queue;

const PROGRAM: &str = env!("CARGO_BIN_EXE_yaks-materializer");

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Started by Lambda, with no Postgres to be had.
fn start(runtime_api: SocketAddr) -> Child {
    start_with(runtime_api, &[])
}

fn start_with(runtime_api: SocketAddr, further: &[(&str, &str)]) -> Child {
    let port = free_port().expect("a free port");
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "yaks-materializer".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("YAKS_DB_HOST", "127.0.0.1".to_owned()),
        ("YAKS_DB_PORT", port.to_string()),
    ];
    let mut program = program();
    program.envs(variables).envs(further.iter().copied());
    program.spawn().expect("the program starts")
}

/// One request to the Runtime API: its path and body. `answer` is the response's head and body.
async fn serve(listener: &TcpListener, answer: impl AsRef<str>) -> (String, String) {
    let limit = Duration::from_secs(20);
    let accepted = timeout(limit, listener.accept())
        .await
        .expect("a request comes in time");
    let (mut socket, _) = accepted.expect("a connection");
    let request = timeout(limit, read(&mut socket))
        .await
        .expect("a request is sent in time");
    socket.write_all(answer.as_ref().as_bytes()).await.expect("an answer");
    request
}

async fn read(socket: &mut TcpStream) -> (String, String) {
    let mut lines = BufReader::new(socket);
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).await.expect("a line");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).expect("a path").to_owned();
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).await.expect("a body");
    (path, String::from_utf8(body).expect("text"))
}

fn invocation(event: &Value) -> String {
    let body = event.to_string();
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\nlambda-runtime-aws-request-id: r-1\r\n\
                lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:0:function:f\r\n\
                lambda-runtime-deadline-ms: 99999999999999";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn it_polls_before_there_is_a_postgres_and_goes_on_after_a_bad_event() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut child = start(listener.local_addr().expect("an address"));
    let bad = json!({"hello": "world"});
    let trial = json!({"Service": "Amazon S3", "Event": "s3:TestEvent"});

    let (path, _) = serve(&listener, invocation(&bad)).await;
    assert_eq!(path, "/2018-06-01/runtime/invocation/next");
    let (path, body) = serve(&listener, ACCEPTED).await;
    assert_eq!(path, "/2018-06-01/runtime/invocation/r-1/error");
    assert!(body.contains("BadEvent") && body.contains("[hello]"), "{body}");

    let (path, _) = serve(&listener, invocation(&trial)).await;
    assert_eq!(path, "/2018-06-01/runtime/invocation/next");
    let (path, body) = serve(&listener, ACCEPTED).await;
    assert_eq!(path, "/2018-06-01/runtime/invocation/r-1/response");
    assert_eq!(body, "null");
    child.kill().await.expect("it still ran");
}

/// One invocation, until it is answered.
async fn invoke(listener: &TcpListener, event: &Value) {
    serve(listener, invocation(event)).await;
    serve(listener, ACCEPTED).await;
}

fn created(keys: &[&str]) -> Value {
    let path = format!("{}/fixtures/s3_notification.json", env!("CARGO_MANIFEST_DIR"));
    let fixture = std::fs::read_to_string(&path).expect("the fixture is there");
    let mut event: Value = serde_json::from_str(&fixture).expect("JSON");
    let record = event["Records"][0].clone();
    let records = keys.iter().map(|key| {
        let mut record = record.clone();
        record["s3"]["object"]["key"] = (*key).into();
        record
    });
    event["Records"] = records.collect();
    event
}

async fn stdout_of(mut child: Child) -> String {
    child.kill().await.expect("it still ran");
    let mut stdout = String::new();
    let mut pipe = child.stdout.take().expect("a pipe");
    pipe.read_to_string(&mut stdout).await.expect("text");
    stdout
}

/// Name, unit, and value.
type EmbeddedMetric = (String, String, u64);

/// What a line of the embedded metric format says: namespace, dimensions, metrics with their units, and the values of both.
fn read_embedded(line: &str) -> (String, Vec<(String, Value)>, Vec<EmbeddedMetric>) {
    let line: Value = serde_json::from_str(line).expect("a line is JSON");
    assert!(line["_aws"]["Timestamp"].as_u64().expect("ms") > 1_700_000_000_000);
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().expect("directives");
    let [directive] = &directives[..] else {
        panic!("not one directive: {line}")
    };
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let [dimensions] = &directive["Dimensions"].as_array().expect("sets")[..] else {
        panic!("not one set of dimensions: {line}")
    };
    let dimensions = dimensions.as_array().expect("names").iter().map(text);
    let dimensions = dimensions.map(|name| (name.clone(), line[&name].clone())).collect();
    let metrics = directive["Metrics"].as_array().expect("metrics").iter();
    let metrics = metrics.map(|metric| {
        let name = text(&metric["Name"]);
        let value = line[&name].as_u64().expect("a value");
        (name, text(&metric["Unit"]), value)
    });
    (text(&directive["Namespace"]), dimensions, metrics.collect())
}

#[tokio::test]
async fn what_an_invocation_counted_is_on_stdout_for_cloudwatch_before_it_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut child = start_with(address, &[("YAKS_EMF_NAMESPACE", "yaks/test")]);
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut line = async || {
        let next = timeout(Duration::from_secs(20), stdout.next_line()).await;
        next.expect("a line comes in time").expect("text").expect("a line")
    };

    invoke(&listener, &created(&["data/a", "data/b"])).await;
    let objects = "yaks_materializer_objects_total".to_owned();
    let foreign = vec![("result".to_owned(), json!("foreign"))];
    let expected = ("yaks/test".to_owned(), foreign, vec![(objects, "Count".to_owned(), 2)]);
    assert_eq!(read_embedded(&line().await), expected);

    // Nothing is counted, and nothing of the first one again.
    invoke(&listener, &json!({"Service": "Amazon S3", "Event": "s3:TestEvent"})).await;
    invoke(&listener, &json!({"hello": "world"})).await;
    let bad_events = "yaks_materializer_bad_events_total".to_owned();
    let expected = (
        "yaks/test".to_owned(),
        Vec::new(),
        vec![(bad_events, "Count".to_owned(), 1)],
    );
    assert_eq!(read_embedded(&line().await), expected);

    child.kill().await.expect("it still ran");
    assert_eq!(stdout.next_line().await.expect("text"), None);
}

#[tokio::test]
async fn without_a_namespace_nothing_is_on_stdout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let child = start(listener.local_addr().expect("an address"));
    invoke(&listener, &created(&["data/a"])).await;
    assert_eq!(stdout_of(child).await, "");
}

#[tokio::test]
async fn without_lambda_it_reads_the_queue_until_sigterm() {
    let queue = FakeQueue::start().await;
    let (url, dead_letters) = (queue.url().to_string(), queue.dead_letter_url().to_string());
    let variables = [
        ("YAKS_EVENT_QUEUE_URL", url.as_str()),
        ("YAKS_DEAD_LETTER_QUEUE_URL", dead_letters.as_str()),
        ("YAKS_EMF_NAMESPACE", "yaks/test"),
        ("YAKS_S3_REGION", queue::REGION),
        ("YAKS_SWEEP_INTERVAL_MS", "0"),
    ];
    let child = program().envs(variables).spawn().expect("the program starts");
    queue.send("trial", r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#);
    assert_eq!(queue.next_deletion().await, ["trial"]);
    queue.send("poison", "not JSON");
    assert_eq!(queue.next_deletion().await, ["poison"]);
    assert_eq!(queue.letters()[0].0, "not JSON");
    // It waits for messages now, for up to 20 s.
    let pid = rustix::process::Pid::from_raw(child.id().expect("it runs").cast_signed()).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is told to stop");
    let ended = timeout(Duration::from_secs(10), child.wait_with_output()).await;
    let Output { status, stdout, stderr } = ended.expect("it ends at once").expect("it has run");
    let log = String::from_utf8(stderr).expect("text");
    assert!(status.success(), "{log}");
    assert!(log.contains("shutting down") && log.contains("stopped"), "{log}");
    assert_eq!(String::from_utf8(stdout).expect("text"), "");
}

async fn refused(variables: &[(&str, &str)]) -> String {
    let run = program().envs(variables.iter().copied()).output();
    let Output { status, stderr, .. } = timeout(Duration::from_secs(20), run)
        .await
        .expect("it ends by itself")
        .expect("it starts");
    assert!(!status.success());
    String::from_utf8(stderr).expect("text")
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_named() {
    let message = refused(&[]).await;
    assert!(message.contains("AWS_LAMBDA_RUNTIME_API is not set"), "{message}");
    assert!(message.contains("YAKS_EVENT_QUEUE_URL"), "{message}");
    let message = refused(&[("YAKS_EVENT_QUEUE_URL", "yaks-events")]).await;
    assert!(message.contains("YAKS_EVENT_QUEUE_URL"), "{message}");
    let message = refused(&[("YAKS_SWEEP_GRACE_MS", "5000")]).await;
    assert!(message.contains("YAKS_SWEEP_GRACE_MS"), "{message}");
    let half = [("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"), ("YAKS_S3_SECRET_KEY", "")];
    let message = refused(&half).await;
    assert!(message.contains("YAKS_S3_SECRET_KEY is empty"), "{message}");
    assert!(!message.contains("testpassword"), "{message}");
}
