//! The Runtime API, through which a function takes its work.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::sync::{Arc, Weak};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::function::{Function, InvocationQueue};
use super::instance::Instance;
use super::invocation::{Failure, Invocation, Outcome};

/// Lambda's limit for a synchronous answer.
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Weak: a request for work may wait for ever, and must keep neither the function nor the instance alive.
#[derive(Clone)]
struct Served {
    instance: Weak<Instance>,
    function: Weak<Function>,
    queue: Arc<InvocationQueue>,
}

pub(super) fn routes(instance: Weak<Instance>, function: &Arc<Function>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(ANSWER_BYTES_MAX))
        .with_state(Served {
            instance,
            function: Arc::downgrade(function),
            queue: function.queue(),
        })
}

async fn next(State(served): State<Served>) -> Response {
    let Some(mut stopped) = served.instance.upgrade().map(|instance| {
        instance.mark_ready();
        instance.stopped()
    }) else {
        return StatusCode::GONE.into_response();
    };
    let invocation = tokio::select! {
        biased;
        _ = stopped.wait_for(|stopped| *stopped) => None,
        invocation = served.queue.next() => invocation,
    };
    match (invocation, served.instance.upgrade(), served.function.upgrade()) {
        (Some(invocation), Some(instance), Some(function)) => {
            let answer = hand_out(&invocation, &function);
            instance.begin(invocation);
            answer
        }
        _ => StatusCode::GONE.into_response(),
    }
}

fn hand_out(invocation: &Invocation, function: &Function) -> Response {
    let timeout_ms = i64::try_from(function.config.timeout.as_millis()).unwrap_or(i64::MAX);
    let deadline_ms = function.clock.now().0.saturating_add(timeout_ms);
    let mut answer = Response::new(Body::from(invocation.payload.clone()));
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", invocation.id.to_string()),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", arn(function)),
        ("lambda-runtime-trace-id", trace_id(function)),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

async fn response(State(served): State<Served>, Path(id): Path<Uuid>, body: Bytes) -> Response {
    finish(&served, id, Outcome::Success(body))
}

async fn error(State(served): State<Served>, Path(id): Path<Uuid>, body: Bytes) -> Response {
    finish(&served, id, Outcome::Failure(Failure::Reported(body)))
}

async fn init_error(body: Bytes) -> Response {
    tracing::error!(error = %String::from_utf8_lossy(&body), "the function failed to initialise");
    accepted()
}

fn finish(served: &Served, id: Uuid, outcome: Outcome) -> Response {
    if served
        .instance
        .upgrade()
        .is_some_and(|instance| instance.finish(id, outcome))
    {
        return accepted();
    }
    let body = json!({"errorMessage": "no such invocation", "errorType": "InvalidRequestID"});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({"status": "OK"}))).into_response()
}

fn arn(function: &Function) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{}", function.name())
}

/// X-Ray's form; not sampled, there is no X-Ray here.
fn trace_id(function: &Function) -> String {
    let seconds = function.clock.now().0 / 1000;
    let (root, parent) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        &root[..24],
        &parent[..16]
    )
}
