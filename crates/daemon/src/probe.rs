//! The question that a container's health check asks of the process beside it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Less than the 5 s that ECS and Docker give a check by default.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// A status line and a reason.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Whether the process that serves `/livez` on `port` of this machine says that it lives; the error tells why not.
pub async fn ask_livez(port: u16) -> anyhow::Result<()> {
    let asked = timeout(ANSWERS_WITHIN, get_livez(port)).await;
    let answer = asked.with_context(|| format!("no answer on port {port} within {} s", ANSWERS_WITHIN.as_secs()))??;
    let status = answer.lines().next().unwrap_or_default();
    ensure!(
        status.split(' ').nth(1) == Some("200"),
        "port {port} answers: {}",
        answer.trim_end()
    );
    Ok(())
}

/// HTTP/1.0: the answer ends with the connection.
async fn get_livez(port: u16) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("nobody listens on port {port}"))?;
    socket.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    async fn answering(status: StatusCode) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = Router::new().route("/livez", get(move || async move { (status, "a reason") }));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        port
    }

    #[tokio::test]
    async fn only_200_is_healthy() {
        assert!(ask_livez(answering(StatusCode::OK).await).await.is_ok());
        let unwell = ask_livez(answering(StatusCode::SERVICE_UNAVAILABLE).await).await;
        let said = unwell.unwrap_err().to_string();
        assert!(said.contains("503") && said.contains("a reason"), "{said}");
    }

    #[tokio::test]
    async fn nobody_and_somebody_who_is_silent_are_not_healthy() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::time::pause();
        let silent = ask_livez(port).await.unwrap_err().to_string();
        assert!(silent.contains("no answer"), "{silent}");
        drop(listener);
        let gone = ask_livez(port).await.unwrap_err().to_string();
        assert!(gone.contains("nobody listens"), "{gone}");
    }
}
