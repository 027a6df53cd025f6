//! The network between clients and agents: connections in memory, with latency, cuts, and ends that do not answer any more.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::incoming::Accepted;
use futures::future::{join, pending};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::plan::Delays;
use crate::process::{Peer, Process};
use crate::random::Dice;
use crate::scribe::Scribe;

/// What an end takes before its reader has read, as a socket's buffer does.
const BUFFER_BYTES: usize = 64 * 1024;

/// Where agents can be reached by their host names.
#[derive(Debug)]
pub struct Network {
    delays: Delays,
    cut_permille: AtomicU32,
    dice: Dice,
    scribe: Scribe,
    peers: AtomicU32,
    endpoints: Mutex<BTreeMap<String, Endpoint>>,
}

/// A listening agent.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Whose connections they are.
    pub process: Process,
    /// Where new ones go.
    pub connections: mpsc::Sender<Accepted>,
    /// Whether its death goes unnoticed by the other ends.
    pub dies_silently: Arc<AtomicBool>,
}

impl Network {
    /// A network with nobody on it.
    pub fn new(delays: Delays, cut_permille: u64, dice: Dice, scribe: Scribe) -> Self {
        Self {
            delays,
            cut_permille: AtomicU32::new(u32::try_from(cut_permille).unwrap_or(1000)),
            dice,
            scribe,
            peers: AtomicU32::new(0),
            endpoints: Mutex::default(),
        }
    }

    /// From now on no connection is cut.
    pub fn heal(&self) {
        self.cut_permille.store(0, Ordering::Relaxed);
    }

    /// `endpoint` listens under `host` now, instead of whoever did before.
    pub fn listen(&self, host: &str, endpoint: Endpoint) {
        self.endpoints().insert(host.to_owned(), endpoint);
    }

    /// Makes a connection, and tells with which process: more than a real client learns. Waits for ever where nobody says that
    /// there is nobody.
    pub async fn connect(&self, host: &str) -> io::Result<(DuplexStream, Arc<str>)> {
        sleep(self.delays.draw(&self.dice)).await;
        let endpoint = self
            .endpoints()
            .get(host)
            .cloned()
            .ok_or(ErrorKind::ConnectionRefused)?;
        if endpoint.process.is_dead() && endpoint.dies_silently.load(Ordering::Relaxed) {
            return pending().await;
        }
        if endpoint.process.is_dead() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let (client, near) = duplex(BUFFER_BYTES);
        let (far, server) = duplex(BUFFER_BYTES);
        let accepted = Accepted::new(Box::new(server), self.peer());
        if endpoint.connections.try_send(accepted).is_err() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let cut_after = self
            .dice
            .chance(u64::from(self.cut_permille.load(Ordering::Relaxed)))
            .then(|| self.dice.ms(50..8000));
        let carrier = Carrier {
            endpoint,
            delays: self.delays.clone(),
            dice: self.dice.fork(),
            scribe: self.scribe.clone(),
        };
        let process = carrier.endpoint.process.name().into();
        tokio::spawn(carrier.carry(near, far, cut_after));
        Ok((client, process))
    }

    fn peer(&self) -> SocketAddr {
        let [a, b, c, d] = self.peers.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        SocketAddr::from(([10 | a, b, c, d], 40_000))
    }

    fn endpoints(&self) -> MutexGuard<'_, BTreeMap<String, Endpoint>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What lies between the two ends of a connection.
struct Carrier {
    endpoint: Endpoint,
    delays: Delays,
    dice: Dice,
    scribe: Scribe,
}

impl Carrier {
    async fn carry(self, near: DuplexStream, far: DuplexStream, cut_after: Option<Duration>) {
        let (near_read, near_write) = split(near);
        let (far_read, far_write) = split(far);
        let both = join(self.pump(near_read, far_write), self.pump(far_read, near_write));
        let cut = async {
            match cut_after {
                Some(after) => sleep(after).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.endpoint.process.death() => {}
            () = cut => self.scribe.count("connection cut"),
            _ = both => {}
        }
        if self.endpoint.process.is_dead() && self.endpoint.dies_silently.load(Ordering::Relaxed) {
            pending().await
        }
    }

    /// Carries bytes one way until their source ends; then the other end hears of it.
    async fn pump(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            self.endpoint.process.pass(Peer::Clients).await;
            sleep(self.delays.draw(&self.dice)).await;
            self.endpoint.process.pass(Peer::Clients).await;
            if to.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        // An error means that the other end is gone already.
        let _ = to.shutdown().await;
    }
}
