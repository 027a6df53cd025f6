//! The HTTP side: a listener that serves `s3s` until it is dropped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::backend::Backend;
use super::faulty::{self, Wire};
use super::store::Store;
use super::{OnCreated, Outage, S3Faults, S3Latency, S3Stats};

/// What to serve.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Where the buckets lie.
    pub directory: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bucket to make at the start.
    pub bucket: String,
    /// The only access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Decides which requests meet faults and which are slow, when any are.
    pub seed: u64,
}

/// A running S3; gone when dropped, connections included.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    stats: Arc<S3Stats>,
    wire: Wire,
    accepting: AbortHandle,
}

impl S3Server {
    /// Opens the store, makes the bucket, and serves on the current runtime.
    pub async fn start(config: S3Config, on_created: OnCreated) -> anyhow::Result<Self> {
        let directory = config.directory.clone();
        let store = Store::open(&directory).with_context(|| format!("cannot use {} for S3", directory.display()))?;
        store
            .create_bucket(&config.bucket)
            .with_context(|| format!("cannot make bucket {}", config.bucket))?;
        let stats = Arc::new(S3Stats::default());
        let backend = Backend {
            store: Arc::new(store),
            stats: Arc::clone(&stats),
            on_created,
        };
        let mut builder = S3ServiceBuilder::new(backend);
        builder.set_auth(SimpleAuth::from_single(config.access_key, config.secret_key));
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {} for S3", config.listen))?;
        let address = listener.local_addr()?;
        let wire = Wire {
            faults: Arc::new(S3Faults::new(config.seed)),
            latency: Arc::new(S3Latency::new(config.seed)),
        };
        let accepting = tokio::spawn(accept(listener, builder.build(), wire.clone())).abort_handle();
        Ok(Self {
            address,
            stats,
            wire,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has served so far.
    pub fn stats(&self) -> &Arc<S3Stats> {
        &self.stats
    }

    /// What may go wrong on the way to it.
    pub fn faults(&self) -> &Arc<S3Faults> {
        &self.wire.faults
    }

    /// How long it takes to answer.
    pub fn latency(&self) -> &Arc<S3Latency> {
        &self.wire.latency
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, service: S3Service, wire: Wire) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            // Dropping the socket closes the connection.
            Ok(_) if wire.faults.outage() == Some(Outage::Closed) => {}
            Ok((socket, _)) => {
                connections.spawn(serve(socket, service.clone(), wire.clone()));
            }
            // Out of file descriptors: there will be some again, and a busy loop would not help.
            Err(error) => {
                tracing::warn!(%error, "the embedded S3 cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, service: S3Service, wire: Wire) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| faulty::answer(wire.clone(), service.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an S3 connection ended early");
    }
}
