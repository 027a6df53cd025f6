//! The stack's own port: Lambda's Invoke API, counters, and switches for shell tests.
//!
//! - `GET /livez`, `GET /metrics`
//! - `POST /2015-03-31/functions/{name}/invocations`
//! - `POST /function/stop`, `POST /function/start`
//! - `POST /events/{hold|drop|duplicate|reverse}/{on|off}`

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::events::EventQueue;
use crate::lambda::{Function, invoke_routes};
use crate::s3::S3Stats;

/// What the port shows and switches.
#[derive(Clone, Debug)]
pub(crate) struct DevApi {
    pub(crate) function: Arc<Function>,
    pub(crate) queue: Arc<EventQueue>,
    pub(crate) s3: Arc<S3Stats>,
}

/// Serves on the loopback interface until `tasks` is dropped.
pub(crate) async fn serve(api: DevApi, port: u16, tasks: &mut JoinSet<()>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {port} (YAKS_DEV_PORT)"))?;
    let router = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/metrics", get(metrics))
        .route("/function/stop", post(stop_function))
        .route("/function/start", post(start_function))
        .route("/events/{fault}/{state}", post(switch_fault))
        .with_state(api.clone())
        .merge(invoke_routes(api.function));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the stack's own port is gone");
        }
    });
    Ok(())
}

async fn metrics(State(api): State<DevApi>) -> String {
    let mut text = api.s3.render();
    let queue = [
        ("yaks_dev_events_sent_total", "counter", api.queue.sent()),
        ("yaks_dev_events_waiting", "gauge", api.queue.len() as u64),
        (
            "yaks_dev_events_dead_letters_total",
            "counter",
            api.queue.dead_letters().len() as u64,
        ),
        (
            "yaks_dev_function_running",
            "gauge",
            u64::from(api.function.is_running()),
        ),
    ];
    for (name, kind, value) in queue {
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    text
}

async fn stop_function(State(api): State<DevApi>) -> &'static str {
    api.function.stop().await;
    "stopped\n"
}

async fn start_function(State(api): State<DevApi>) -> Response {
    match api.function.start().await {
        Ok(()) => "started\n".into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn switch_fault(State(api): State<DevApi>, Path((fault, state)): Path<(String, String)>) -> Response {
    let on = match state.as_str() {
        "on" => true,
        "off" => false,
        _ => return (StatusCode::NOT_FOUND, "on or off\n").into_response(),
    };
    let faults = api.queue.faults();
    match fault.as_str() {
        "hold" => faults.set_hold(on),
        "drop" => faults.set_drop(on),
        "duplicate" => faults.set_duplicate(on),
        "reverse" => faults.set_reverse(on),
        _ => return (StatusCode::NOT_FOUND, "hold, drop, duplicate or reverse\n").into_response(),
    }
    api.queue.wake();
    format!("{fault} {state}\n").into_response()
}
