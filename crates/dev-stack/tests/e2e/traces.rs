//! One produce is one trace, from the request to the rows; a fetch is another; and there is none while nobody wants any.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use dev_stack::config::StackConfig;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;
use tokio::runtime::Runtime;

use crate::kafka::{PATIENCE, at_offsets, values};
use crate::running::{Running, agent_env};

/// A span, as its collector got it.
#[derive(Clone, Debug)]
struct Seen {
    service: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Spans {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
}

/// An OTLP receiver.
struct Collector {
    spans: Arc<Spans>,
    endpoint: String,
    _runtime: Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let spans = Arc::new(Spans::default());
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&spans));
        let listening = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = runtime.block_on(listening).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self {
            spans,
            endpoint,
            _runtime: runtime,
        }
    }

    /// Tells all parts of a stack where spans go, and whether they do.
    fn wait_for_spans_of(&self, config: &mut StackConfig, enabled: bool) {
        // The function sends its spans by itself before it answers: no time of its own would do.
        for (variables, delay_ms) in [
            (&mut config.agent_env, "100"),
            (&mut config.sidecar_env, "100"),
            (&mut config.function_env, "3600000"),
        ] {
            for (name, value) in [
                ("YAKS_OTEL_ENABLED", enabled.to_string().as_str()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint),
                ("OTEL_BSP_SCHEDULE_DELAY", delay_ms),
            ] {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Waits until the spans are such that `found` finds something.
    fn wait_for<T>(&self, what: &str, found: impl Fn(&[Seen]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.spans.seen.lock().unwrap();
        loop {
            if let Some(found) = found(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} among {seen:#?}");
            seen = self.spans.more.wait_timeout(seen, left).unwrap().0;
        }
    }
}

async fn take(State(spans): State<Arc<Spans>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut seen = spans.seen.lock().unwrap();
    for of_process in request.resource_spans {
        let resource = attributes(of_process.resource.unwrap().attributes);
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            seen.push(Seen {
                service: resource["service.name"].clone(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                attributes: attributes(span.attributes),
            });
        }
    }
    spans.more.notify_all();
}

fn attributes(of: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    };
    of.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

impl Seen {
    fn says(&self, key: &str, value: &str) -> bool {
        self.attributes.get(key).is_some_and(|found| found == value)
    }

    /// The spans of that name within this one.
    fn within<'a>(&self, all: &'a [Self], service: &str, name: &str) -> Vec<&'a Self> {
        let is_ours = |span: &&Self| {
            span.parent == self.id && span.trace == self.trace && span.service == service && span.name == name
        };
        all.iter().filter(is_ours).collect()
    }
}

/// What becomes of the first request of `api` that `rest` finds all of.
fn requests<'a>(seen: &'a [Seen], api: &'a str) -> impl Iterator<Item = &'a Seen> {
    let is_request = move |span: &&Seen| span.name == "request" && span.parent.is_empty() && span.says("api", api);
    seen.iter().filter(is_request)
}

/// From the request to the statements of the commit; `None` while something is missing.
fn whole_produce(seen: &[Seen]) -> Option<()> {
    requests(seen, "Produce").find_map(|request| {
        let upload = *request.within(seen, "yaks-agent", "upload").first()?;
        let puts = upload.within(seen, "yaks-agent", "s3");
        puts.iter().find(|put| put.says("operation", "PutObject"))?;
        let commit = *upload.within(seen, "yaks-materializer", "commit").first()?;
        let statements = commit.within(seen, "yaks-materializer", "sql");
        let all = ["commit: lock and read", "commit: write", "commit: end"];
        all.iter()
            .all(|statement| statements.iter().any(|sql| sql.says("statement", statement)))
            .then_some(())
    })
}

/// From the request to Postgres, and through the sidecar to S3.
fn whole_fetch(seen: &[Seen]) -> Option<()> {
    requests(seen, "Fetch").find_map(|request| {
        let plan = *request.within(seen, "yaks-agent", "plan").first()?;
        plan.within(seen, "yaks-agent", "sql").first()?;
        let sidecar = *request.within(seen, "yaks-agent", "sidecar").first()?;
        let get = *sidecar.within(seen, "yaks-cache", "get").first()?;
        let gets = get.within(seen, "yaks-cache", "s3");
        gets.iter().any(|get| get.says("operation", "GetObject")).then_some(())
    })
}

#[test]
fn one_produce_is_one_trace_down_to_the_rows_and_a_fetch_is_one_down_to_s3() {
    let collector = Collector::start();
    let data = tempfile::tempdir().unwrap();
    let start = || {
        Running::start_in(data.path(), 1, |config| {
            collector.wait_for_spans_of(config, true);
            // The function is to commit, however slow this machine is; and the sidecar to start without what it was given.
            agent_env(config, "YAKS_COMMIT_STALL_MS", "0");
            config
                .sidecar_env
                .push(("YAKS_CACHE_DISK_MB".to_owned(), "0".to_owned()));
        })
    };
    let written = values(10);
    let stack = start();
    let topic = stack.kafka().create_topic("traced", 1);
    stack.kafka().produce_all(&topic, 0, &written, &[("acks", "all")]);
    collector.wait_for("whole produce", whole_produce);
    drop(stack);

    // Nobody remembers anything.
    let stack = start();
    assert_eq!(stack.kafka().read(&topic, 0, 0, written.len()), at_offsets(0, &written));
    collector.wait_for("whole fetch", whole_fetch);
    let seen = collector.spans.seen.lock().unwrap();
    assert!(seen.iter().all(|span| span.name != "connection"));
}

#[test]
fn nothing_is_exported_unless_it_is_asked_for() {
    let collector = Collector::start();
    let written = values(10);
    let stack = Running::start(1, |config| collector.wait_for_spans_of(config, false));
    let topic = stack.kafka().create_topic("untraced", 1);
    stack.kafka().produce_all(&topic, 0, &written, &[("acks", "all")]);
    assert_eq!(stack.kafka().read(&topic, 0, 0, written.len()), at_offsets(0, &written));
    // Whoever has spans sends them before it ends.
    drop(stack);
    let seen = collector.spans.seen.lock().unwrap();
    assert!(seen.is_empty(), "{seen:#?}");
}
