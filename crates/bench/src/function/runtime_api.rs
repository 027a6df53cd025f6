//! As much of Lambda's Runtime API as one instance of a function needs: it asks for work, gets an event, and answers.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// More than a function takes, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(30);

type Answer = Result<Bytes, String>;

/// One for one instance. Dropping it ends it.
pub(super) struct RuntimeApi {
    address: SocketAddr,
    polls: Receiver<Instant>,
    events: Sender<Bytes>,
    answers: Receiver<Answer>,
    serving: AbortHandle,
}

#[derive(Clone)]
struct Served {
    polls: Sender<Instant>,
    events: Arc<Mutex<Receiver<Bytes>>>,
    answers: Sender<Answer>,
}

impl RuntimeApi {
    /// Serves on a free port.
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        // An instance does one thing at a time.
        let (seen, polls) = channel(1);
        let (events, waiting) = channel(1);
        let (said, answers) = channel(1);
        let router = routes(Served {
            polls: seen,
            events: Arc::new(Mutex::new(waiting)),
            answers: said,
        });
        let serving = tokio::spawn(async move {
            // It ends with what is measured, and an error of it is seen there.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            polls,
            events,
            answers,
            serving: serving.abort_handle(),
        })
    }

    /// Where the instance finds it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the instance asked for work for the first time.
    pub(super) async fn first_poll(&mut self) -> Result<Instant> {
        let polled = timeout(PATIENCE, self.polls.recv()).await;
        polled.ok().flatten().context("the function does not ask for work")
    }

    /// Gives it an event and waits for its answer.
    pub(super) async fn invoke(&mut self, event: &Value) -> Result<Value> {
        self.events.send(event.to_string().into()).await?;
        let answered = timeout(PATIENCE, self.answers.recv()).await;
        match answered.ok().flatten().context("the function does not answer")? {
            Ok(body) => Ok(serde_json::from_slice(&body)?),
            Err(error) => Err(anyhow!("the function failed: {error}")),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn routes(served: Served) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(error))
        .with_state(served)
}

async fn next(State(served): State<Served>) -> Response {
    // Only the first one is waited for.
    let _ = served.polls.try_send(Instant::now());
    let Some(event) = served.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "bench"),
        // In the year 2100.
        ("lambda-runtime-deadline-ms", "4102444800000"),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench",
        ),
    ];
    (headers, event).into_response()
}

async fn response(State(served): State<Served>, body: Bytes) -> StatusCode {
    answer(&served, Ok(body)).await
}

async fn error(State(served): State<Served>, body: Bytes) -> StatusCode {
    answer(&served, Err(String::from_utf8_lossy(&body).into_owned())).await
}

async fn answer(served: &Served, answer: Answer) -> StatusCode {
    match served.answers.send(answer).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}
