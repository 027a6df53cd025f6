//! The health check of a container in which there is nothing but the program: the program asks itself.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A process that lives answers at once; what asks has its own limit of a few seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Asks `/livez` on `port` of this machine.
pub fn ask_alive(port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut socket = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    socket.set_write_timeout(Some(ANSWERS_WITHIN))?;
    socket.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut status = [0; "HTTP/1.1 200".len()];
    socket.read_exact(&mut status)?;
    if &status == b"HTTP/1.1 200" {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&status).into_owned();
    Err(io::Error::other(format!("/livez on port {port} says {said}")))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;

    async fn answering(status: StatusCode) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/livez", get(async move || status));
        tokio::spawn(crate::serve(listener, router, CancellationToken::new()));
        port
    }

    async fn ask(port: u16) -> io::Result<()> {
        tokio::task::spawn_blocking(move || ask_alive(port)).await.unwrap()
    }

    #[tokio::test]
    async fn only_a_process_that_says_so_lives() {
        ask(answering(StatusCode::OK).await).await.unwrap();
        let said = ask(answering(StatusCode::NOT_FOUND).await)
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains("404"), "{said}");
        let nobody = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert!(ask(nobody).await.is_err());
    }
}
