//! The accept loop, and the orderly end of all connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::Tasks;
use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};
use types::limits;

use crate::broker::Broker;
use crate::connection::{self, ConnectionLimits, ConnectionPools};
use crate::frame::FrameLimits;
use crate::incoming::{Accepted, Incoming};
use crate::metrics::{CONNECTIONS, CONNECTIONS_REFUSED};

/// Requests of one connection whose answers have not left. librdkafka does not wait for acks before it sends more (`max.in.flight`
/// is a million): at 64, a client that lingers 5 ms could not have more than 200 requests a second of 300 ms each, and its
/// records waited for the answers of others. What they hold is bounded by the pool of requests.
const PIPELINED_MAX: usize = 512;

/// How long the loop rests after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server takes on.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections open at once; more wait in the listener's backlog.
    pub connections_max: usize,
    /// The pools of all connections; that of requests is larger than the largest frame.
    pub pools: ConnectionPools,
    /// What each connection may take.
    pub connection: ConnectionLimits,
    /// How long a stopping server waits for answers in flight.
    pub drain: Duration,
}

impl ServerLimits {
    /// The limits of `types::limits`, with these two of the configuration.
    pub fn new(connections_max: usize, pools: ConnectionPools) -> Self {
        assert!(
            pools.requests.bytes_max() > limits::FRAME_BYTES_MAX,
            "the pool of request bytes has to be larger than the largest frame"
        );
        let frame = FrameLimits {
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            idle: Duration::from_millis(limits::CONNECTION_IDLE_MS),
            stall: Duration::from_secs(30),
        };
        Self {
            connections_max,
            pools,
            connection: ConnectionLimits {
                frame,
                pipelined_max: PIPELINED_MAX,
                answer_bytes_max: 4 * 1024 * 1024,
                write_stall: Duration::from_secs(60),
            },
            drain: Duration::from_secs(30),
        }
    }
}

/// Accepts and serves until `shutdown` is cancelled; then requests in flight are answered, everything is closed, and it returns.
/// Dropped before that, it drops every connection with it, as a killed process does.
pub async fn serve(
    mut incoming: Box<dyn Incoming>,
    broker: Arc<Broker>,
    limits: ServerLimits,
    shutdown: CancellationToken,
) {
    let server = Server {
        broker,
        connection_limits: Arc::new(limits.connection),
        pools: limits.pools,
        slots: Arc::new(Semaphore::new(limits.connections_max)),
        connections: Tasks::new(shutdown.child_token()),
        connections_max: limits.connections_max,
    };
    let _aborted_if_dropped = server.connections.abort_on_drop();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = server.accept(incoming.as_mut()) => {}
    }
    drop(incoming);
    server.drain(limits.drain).await;
}

struct Server {
    broker: Arc<Broker>,
    connection_limits: Arc<ConnectionLimits>,
    pools: ConnectionPools,
    slots: Arc<Semaphore>,
    connections: Tasks,
    connections_max: usize,
}

impl Server {
    async fn accept(&self, incoming: &mut dyn Incoming) {
        loop {
            let slot = self.slot().await;
            match incoming.accept().await {
                Ok(accepted) => self.spawn(accepted, slot),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(%error, open = self.open(), "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn slot(&self) -> OwnedSemaphorePermit {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return slot;
        }
        warn!(open = self.open(), "connection limit reached, new clients wait");
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.expect("the semaphore is never closed")
    }

    fn spawn(&self, accepted: Accepted, slot: OwnedSemaphorePermit) {
        let peer = accepted.peer;
        let open = OpenConnection::new(peer, slot);
        let serving = connection::serve(
            accepted,
            Arc::clone(&self.broker),
            self.pools.clone(),
            Arc::clone(&self.connection_limits),
            self.connections.shutdown().clone(),
        );
        // Each future around it would hold it twice: where it came from, and where it is awaited.
        let serving = Box::pin(serving);
        let serving = async move {
            let _open = open;
            serving.await;
        };
        self.connections
            .spawn("connection", serving.instrument(info_span!("connection", %peer)));
    }

    /// Tells the connections to end and waits for them.
    async fn drain(&self, time_max: Duration) {
        info!(open = self.open(), "no longer accepting, answering what is in flight");
        if let Err(error) = self.connections.stop(time_max).await {
            warn!(%error, "connections left behind with requests unanswered");
        }
    }

    fn open(&self) -> usize {
        self.connections_max - self.slots.available_permits()
    }
}

/// A connection from accept to end, however it ends.
struct OpenConnection {
    peer: SocketAddr,
    _slot: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(peer: SocketAddr, slot: OwnedSemaphorePermit) -> Self {
        gauge!(CONNECTIONS).increment(1);
        Self { peer, _slot: slot }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1);
        // One client's request takes nobody else along: its task alone ends.
        if std::thread::panicking() {
            counter!(CONNECTIONS_REFUSED, "reason" => "panic").increment(1);
            error!(peer = %self.peer, "connection ended by a panic");
        }
    }
}

/// An error about the connection that was to be accepted, not about us.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
