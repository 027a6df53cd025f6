//! The stack's own port: Lambda's Invoke API, counters, and switches for shell tests.
//!
//! - `GET /livez`, `GET /metrics`
//! - `GET /processes`: a line for each agent and sidecar that runs, with its name and process id
//! - `POST /2015-03-31/functions/{name}/invocations`
//! - `POST /function/{stop|start|kill}`; kill ends its instances in the middle of what they do
//! - `POST /agents/{n}/{stop|kill|start|pause|resume}`, `POST /sidecars/{n}/...`, `POST /postgres/...` likewise
//! - `POST /events/{hold|drop|duplicate|reverse|delay|reorder}/{on|off|probability}`; hold and reverse are on or off
//! - `POST /s3/{[operation:]fault=probability}`, as the flag `--s3-faults` has them
//! - `POST /s3/latency/{none|standard|express}`, as the flag `--s3-latency` has them
//! - `POST /s3/outage/{closed|silent|off}`
//! - `POST /heal`: no more faults of S3 and of events

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Weak};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::ValueEnum as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::events::{EventFault, EventQueue};
use crate::lambda::{Function, invoke_routes};
use crate::parts::{Parts, Switch};
use crate::s3::{LatencyProfile, Outage, S3Faults, S3Latency, S3Stats, parse_probability};

/// What the port shows and switches.
#[derive(Clone, Debug)]
pub(crate) struct DevApi {
    pub(crate) function: Arc<Function>,
    pub(crate) queue: Arc<EventQueue>,
    pub(crate) s3: Arc<S3Stats>,
    pub(crate) s3_faults: Arc<S3Faults>,
    pub(crate) s3_latency: Arc<S3Latency>,
    /// Weak: a request must not keep processes alive when the stack is dropped.
    pub(crate) parts: Weak<Parts>,
}

/// Serves on the loopback interface until `tasks` is dropped.
pub(crate) async fn serve(api: DevApi, port: u16, tasks: &mut JoinSet<()>) -> Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/function/{switch}", post(switch_function))
        .route("/events/{fault}/{state}", post(switch_events))
        .route("/s3/{rate}", post(switch_s3))
        .route("/s3/latency/{profile}", post(switch_latency))
        .route("/s3/outage/{kind}", post(switch_outage))
        .route("/heal", post(heal))
        .with_state(api.clone())
        .merge(part_routes(api.parts))
        .merge(invoke_routes(api.function));
    listen(router, port, tasks).await
}

/// What there is to switch where somebody else plays AWS: the processes.
pub(crate) async fn serve_parts(parts: Weak<Parts>, port: u16, tasks: &mut JoinSet<()>) -> Result<()> {
    listen(part_routes(parts), port, tasks).await
}

fn part_routes(parts: Weak<Parts>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/processes", get(processes))
        .route("/agents/{n}/{switch}", post(switch_agent))
        .route("/sidecars/{n}/{switch}", post(switch_sidecar))
        .route("/postgres/{switch}", post(switch_postgres))
        .with_state(parts)
}

async fn listen(router: Router, port: u16, tasks: &mut JoinSet<()>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {port} (YAKS_DEV_PORT)"))?;
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the stack's own port is gone");
        }
    });
    Ok(())
}

async fn metrics(State(api): State<DevApi>) -> String {
    let mut text = api.s3.render();
    text.push_str(&api.s3_faults.render());
    text.push_str(&api.queue.faults().render());
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

async fn processes(State(running): State<Weak<Parts>>) -> Result<String, Refused> {
    let processes = parts(&running)?.processes().await;
    Ok(processes.iter().map(|(name, pid)| format!("{name} {pid}\n")).collect())
}

/// Why a switch was not turned.
enum Refused {
    /// There is no such switch, or it has no such position.
    Unknown(String),
    /// It was turned, and it did not help.
    Failed(anyhow::Error),
}

type Turned = Result<String, Refused>;

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown(said) => (StatusCode::NOT_FOUND, said + "\n").into_response(),
            Self::Failed(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
        }
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn parse_switch(text: &str) -> Result<Switch, Refused> {
    Switch::from_str(text, false).map_err(|_| Refused::Unknown("stop, kill, start, pause or resume".to_owned()))
}

fn parts(running: &Weak<Parts>) -> Result<Arc<Parts>> {
    running.upgrade().context("the stack is being stopped")
}

async fn switch_function(State(api): State<DevApi>, Path(switch): Path<String>) -> Turned {
    match switch.as_str() {
        "stop" => api.function.stop().await,
        "start" => api.function.start().await?,
        "kill" => return Ok(format!("{} at work were killed\n", api.function.crash().await)),
        _ => return Err(Refused::Unknown("stop, start or kill".to_owned())),
    }
    Ok(format!("function {switch}\n"))
}

async fn switch_agent(State(running): State<Weak<Parts>>, Path((n, switch)): Path<(usize, String)>) -> Turned {
    parts(&running)?.switch_agent(n, parse_switch(&switch)?).await?;
    Ok(format!("agent {n} {switch}\n"))
}

async fn switch_sidecar(State(running): State<Weak<Parts>>, Path((n, switch)): Path<(usize, String)>) -> Turned {
    parts(&running)?.switch_sidecar(n, parse_switch(&switch)?).await?;
    Ok(format!("sidecar {n} {switch}\n"))
}

async fn switch_postgres(State(running): State<Weak<Parts>>, Path(switch): Path<String>) -> Turned {
    parts(&running)?.switch_postgres(parse_switch(&switch)?).await?;
    Ok(format!("postgres {switch}\n"))
}

async fn switch_events(State(api): State<DevApi>, Path((fault, state)): Path<(String, String)>) -> Turned {
    let probability = match state.as_str() {
        "on" => 1.0,
        "off" => 0.0,
        number => parse_probability(number).map_err(|_| Refused::Unknown("on, off or a probability".to_owned()))?,
    };
    let faults = api.queue.faults();
    match fault.as_str() {
        "hold" => faults.set_hold(probability > 0.0),
        "reverse" => faults.set_reverse(probability > 0.0),
        other => {
            let known = EventFault::from_str(other, false);
            let said = "hold, drop, duplicate, reverse, delay or reorder";
            faults.set_rate(known.map_err(|_| Refused::Unknown(said.to_owned()))?, probability);
        }
    }
    api.queue.wake();
    Ok(format!("{fault} {state}\n"))
}

async fn switch_s3(State(api): State<DevApi>, Path(rate): Path<String>) -> Turned {
    api.s3_faults.set(rate.parse().map_err(Refused::Unknown)?);
    Ok(format!("{rate}\n"))
}

async fn switch_latency(State(api): State<DevApi>, Path(profile): Path<String>) -> Turned {
    let known = LatencyProfile::from_str(&profile, false);
    let known = known.map_err(|_| Refused::Unknown("none, standard or express".to_owned()))?;
    api.s3_latency.set(known);
    Ok(format!("latency {profile}\n"))
}

async fn switch_outage(State(api): State<DevApi>, Path(kind): Path<String>) -> Turned {
    let outage = match kind.as_str() {
        "off" => None,
        other => {
            Some(Outage::from_str(other, false).map_err(|_| Refused::Unknown("closed, silent or off".to_owned()))?)
        }
    };
    api.s3_faults.set_outage(outage);
    Ok(format!("outage {kind}\n"))
}

async fn heal(State(api): State<DevApi>) -> &'static str {
    api.s3_faults.heal();
    api.queue.faults().heal();
    api.queue.wake();
    "healed\n"
}
