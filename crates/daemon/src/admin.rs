//! The admin port: `/livez`, `/readyz`, `/metrics`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Readiness, Tasks};

/// How often histograms are folded up (see `Telemetry::run_upkeep`): at 10,000 values a second, some 100,000 wait.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A port that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({variable}): {error}")]
pub struct ListenError {
    /// The address asked for.
    pub address: SocketAddr,
    /// The setting that names the port.
    pub variable: &'static str,
    /// What the system said.
    pub error: io::Error,
}

/// Listens on `address`; `variable` is the setting to blame when that fails.
pub async fn bind(address: SocketAddr, variable: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError {
        address,
        variable,
        error,
    })
}

/// `/livez` (the process answers), `/readyz` (503 and the reasons while not ready), `/metrics` (Prometheus text).
pub fn health_routes(readiness: Readiness, telemetry: Telemetry) -> Router {
    let ready = move || async move {
        if readiness.is_ready() {
            (StatusCode::OK, "ready\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, readiness.explain())
        }
    };
    let metrics = move || async move {
        (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
            telemetry.render_metrics(),
        )
            .into_response()
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// How long a peer may leave what was sent to it unread. A frozen peer would otherwise hold its answer, and what the
/// answer holds, for as long as its kernel answers probes.
const SEND_STALL_MS_MAX: u32 = 30_000;

/// Serves `router` on `listener` until `shutdown`, then answers what is in flight and returns. Handlers find the address of whoever
/// asks in `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    // Best effort: a socket that refuses an option is about to fail anyway.
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&*socket, SEND_STALL_MS_MAX);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// Starts the admin port as a task, and the upkeep of the metrics with it; returns the address it listens on. Give
/// it tasks that end last: health must be visible during shutdown.
pub async fn serve_admin(
    address: SocketAddr,
    variable: &'static str,
    readiness: Readiness,
    telemetry: Telemetry,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let listener = bind(address, variable).await?;
    let local = listener.local_addr()?;
    let router = health_routes(readiness, telemetry.clone());
    let server = serve(listener, router, tasks.shutdown().clone());
    tasks.spawn_core("admin", async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "admin port failed");
        }
    });
    spawn_upkeep(telemetry, tasks);
    Ok(local)
}

/// Folds up histograms until shutdown; `serve_admin` starts it, a process with its own router starts it itself.
pub fn spawn_upkeep(telemetry: Telemetry, tasks: &Tasks) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn_core("metrics upkeep", async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            telemetry.run_upkeep();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_blamed_on_its_variable() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "X").await.unwrap();
        let address = taken.local_addr().unwrap();
        let message = bind(address, "YAKS_METRICS_PORT").await.unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("cannot listen on {address} (YAKS_METRICS_PORT)")),
            "{message}"
        );
    }
}
