//! Where connections come from: a TCP port, or whoever plays the clients in a test or in the simulator.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use types::limits;

/// A client's connection: bytes in, bytes out.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// A connection, and the address at its other end.
pub type Accepted = (Box<dyn Socket>, SocketAddr);

/// A source of connections. Dropping it refuses those to come.
#[async_trait]
pub trait Incoming: Send + Sync {
    /// The next connection. Safe to cancel: no connection is lost.
    async fn accept(&mut self) -> io::Result<Accepted>;
}

#[async_trait]
impl Incoming for TcpListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (socket, peer) = TcpListener::accept(self).await?;
        if let Err(error) = prepare(&socket) {
            tracing::warn!(%peer, %error, "cannot set socket options");
        }
        Ok((Box::new(socket), peer))
    }
}

/// Connections made within the process; when the other side is dropped, no more of them come.
#[async_trait]
impl Incoming for mpsc::Receiver<Accepted> {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match self.recv().await {
            Some(accepted) => Ok(accepted),
            None => std::future::pending().await,
        }
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(limits::TCP_KEEPALIVE_S));
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
