//! Where connections come from: TCP ports, or whoever plays the clients in a test or in the simulator.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use types::limits;

use crate::listeners::DEFAULT_LISTENER;

/// A client's connection: bytes in, bytes out.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// A connection that was made.
pub struct Accepted {
    /// Its bytes.
    pub socket: Box<dyn Socket>,
    /// The address at its other end.
    pub peer: SocketAddr,
    /// The listener it came through.
    pub listener: Arc<str>,
}

impl Accepted {
    /// A connection that came through the only listener of an agent that has no others.
    pub fn new(socket: Box<dyn Socket>, peer: SocketAddr) -> Self {
        Self {
            socket,
            peer,
            listener: DEFAULT_LISTENER.into(),
        }
    }
}

/// A source of connections. Dropping it refuses those to come.
#[async_trait]
pub trait Incoming: Send + Sync {
    /// The next connection. Safe to cancel: no connection is lost.
    async fn accept(&mut self) -> io::Result<Accepted>;
}

/// The ports of all listeners.
#[derive(Debug, Default)]
pub struct Ports {
    ports: Vec<(Arc<str>, TcpListener)>,
    /// Which one is asked first: in turn, so that none keeps the others waiting.
    first: usize,
}

impl Ports {
    /// Adds the port of a listener.
    pub fn add(&mut self, listener: Arc<str>, port: TcpListener) {
        self.ports.push((listener, port));
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr, Arc<str>)>> {
        self.first = (self.first + 1) % self.ports.len().max(1);
        let (before, after) = self.ports.split_at(self.first);
        for (listener, port) in after.iter().chain(before) {
            if let Poll::Ready(accepted) = port.poll_accept(context) {
                return Poll::Ready(accepted.map(|(socket, peer)| (socket, peer, Arc::clone(listener))));
            }
        }
        Poll::Pending
    }
}

#[async_trait]
impl Incoming for Ports {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (socket, peer, listener) = poll_fn(|context| self.poll(context)).await?;
        if let Err(error) = prepare(&socket) {
            tracing::warn!(%peer, %error, "cannot set socket options");
        }
        Ok(Accepted {
            socket: Box::new(socket),
            peer,
            listener,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_says_through_which_listener_it_came_and_no_port_keeps_another_waiting() {
        let mut ports = Ports::default();
        let mut addresses = Vec::new();
        for name in ["A", "B"] {
            let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(port.local_addr().unwrap());
            ports.add(name.into(), port);
        }
        let mut clients = Vec::new();
        for address in [addresses[0], addresses[0], addresses[0], addresses[1]] {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut came = Vec::new();
        for _ in 0..4 {
            let accepted = ports.accept().await.unwrap();
            let client = clients
                .iter()
                .find(|client| client.local_addr().unwrap() == accepted.peer)
                .unwrap();
            let expected = if client.peer_addr().unwrap() == addresses[0] {
                "A"
            } else {
                "B"
            };
            assert_eq!(&*accepted.listener, expected);
            came.push(accepted.listener);
        }
        assert!(came[..2].iter().any(|name| &**name == "B"), "{came:?}");
    }
}
