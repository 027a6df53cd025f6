//! A server on a port of its own, and requests made from the shapes of our own tables.

#![allow(dead_code, reason = "no test file uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test ends where its harness fails")]

pub(crate) mod random_request;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use agent::connection::ConnectionPools;
use agent::frame::BytePermits;
use agent::incoming::Ports;
use agent::listeners::DEFAULT_LISTENER;
use agent::memory::pool::AnswerPool;
use agent::server::{ServerLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::TestAgent;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The limits of production, with one connection's patience cut short.
pub(crate) fn limits() -> ServerLimits {
    let pools = ConnectionPools {
        requests: BytePermits::new(256 * 1024 * 1024),
        answers: AnswerPool::new("other_answers", 16 * 1024 * 1024),
    };
    let mut limits = ServerLimits::new(1000, pools);
    limits.connection.frame.stall = Duration::from_millis(300);
    limits.connection.write_stall = Duration::from_millis(500);
    limits
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    _agent: TestAgent,
}

impl Server {
    pub(crate) async fn start(limits: ServerLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut ports = Ports::default();
        ports.add(DEFAULT_LISTENER.into(), listener);
        let shutdown = CancellationToken::new();
        let agent = TestAgent::start().await;
        let serving = tokio::spawn(serve(Box::new(ports), agent.broker.clone(), limits, shutdown.clone()));
        Self {
            address,
            shutdown,
            serving,
            _agent: agent,
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Stops it, and waits until every connection has ended.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.serving)
            .await
            .expect("serve does not end")
            .unwrap();
    }

    /// A new client gets an answer.
    pub(crate) async fn assert_serves(&self) {
        let mut client = self.connect().await;
        client.send(&request(18, 0, 77, &[])).await;
        let answer = client.receive().await;
        assert_eq!(answer[..6], [0, 0, 0, 77, 0, 0]);
    }
}

/// A client that says exactly what it is told to.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// One answer, from its correlation id on.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        self.try_receive().await.unwrap()
    }

    /// Asserts that the server closes the connection without another answer.
    pub(crate) async fn assert_closed(&mut self) {
        let error = self.try_receive().await.expect_err("an answer instead of a close");
        use io::ErrorKind::{ConnectionReset, UnexpectedEof};
        assert!(matches!(error.kind(), UnexpectedEof | ConnectionReset), "{error}");
    }

    async fn try_receive(&mut self) -> io::Result<Vec<u8>> {
        let answer = async {
            let length = self.0.read_u32().await?;
            let mut answer = vec![0; length as usize];
            self.0.read_exact(&mut answer).await?;
            Ok(answer)
        };
        tokio::time::timeout(PATIENCE, answer)
            .await
            .expect("the server neither answers nor closes")
    }
}

/// A frame with a header of version 1 (no client id).
pub(crate) fn request(api_key: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let header = [
        &api_key.to_be_bytes()[..],
        &version.to_be_bytes(),
        &correlation_id.to_be_bytes(),
        &[0xff, 0xff],
    ];
    framed(&[&header.concat(), body].concat())
}

/// The bytes with their length before them.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A value in kB of `/proc/self/status`: `VmRSS`, `VmHWM`, `VmPeak`.
pub(crate) fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .unwrap()
}
