//! Plays an agent, a sidecar or the function, by the name it is started under, for the tests of the stack itself.
//!
//! It does what the stack sees of a part: migrates (not), serves `/readyz`, asks for invocations, ends on SIGTERM.
//! `STAND_IN_FAIL=<name>` makes the part of that name end at once.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::routing::get;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The tests look for this in the logs.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let mut args = std::env::args();
    let program = args.next().context("no name")?;
    let name = Path::new(&program)
        .file_name()
        .and_then(|name| name.to_str())
        .context("no name")?
        .to_owned();
    tracing::info!("{name} runs as process {}", std::process::id());
    if std::env::var("STAND_IN_FAIL").is_ok_and(|failing| failing == name) {
        bail!("{name} was told to fail");
    }
    match (name.as_str(), args.next().as_deref()) {
        ("yaks-agent", Some("migrate")) => Ok(()),
        ("yaks-agent", None) => serve("YAKS_METRICS_PORT").await,
        ("yaks-cache", None) => serve("YAKS_CACHE_PORT").await,
        ("yaks-materializer", None) => function().await,
        other => bail!("{other:?} is nothing that the stack should start"),
    }
}

async fn serve(port_variable: &str) -> Result<()> {
    let port: u16 = std::env::var(port_variable)
        .context(port_variable.to_owned())?
        .parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let routes = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/env", get(environment));
    let until = async move { terminate.recv().await.unwrap_or_default() };
    axum::serve(listener, routes).with_graceful_shutdown(until).await?;
    tracing::info!("stopped in order");
    Ok(())
}

async fn environment() -> String {
    std::env::vars()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}

async fn function() -> Result<()> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return worker().await;
    }
    let handler = service_fn(async |_: LambdaEvent<Value>| Ok::<_, lambda_runtime::Error>(json!({})));
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed)
}

async fn worker() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!("reads {}", std::env::var("YAKS_EVENT_QUEUE_URL")?);
    terminate.recv().await.context("no signals")?;
    tracing::info!("stopped in order");
    Ok(())
}
