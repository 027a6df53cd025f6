//! One connection: requests out, answers in, matched by their order.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long it takes to lose patience with a new connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

type Waiting = Arc<Mutex<Option<VecDeque<(i32, oneshot::Sender<Bytes>)>>>>;

/// A connection to one agent.
#[derive(Debug)]
pub struct Connection {
    write: WriteHalf<DuplexStream>,
    waiting: Waiting,
    reading: JoinHandle<()>,
    next_id: i32,
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answer<R> {
    version: i16,
    frame: oneshot::Receiver<Bytes>,
    of: PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects to `host`.
    pub async fn open(network: &crate::network::Network, host: &str) -> io::Result<(Self, Arc<str>)> {
        let connecting = timeout(CONNECT_PATIENCE, network.connect(host));
        let (socket, process) = connecting.await.map_err(|_| ErrorKind::TimedOut)??;
        let (read, write) = split(socket);
        let waiting: Waiting = Arc::new(Mutex::new(Some(VecDeque::new())));
        let reading = tokio::spawn(read_answers(read, Arc::clone(&waiting)));
        let connection = Self {
            write,
            waiting,
            reading,
            next_id: 0,
        };
        Ok((connection, process))
    }

    /// Sends a request; its answer comes when all before it have come.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<Answer<R>> {
        let id = self.next_id;
        self.next_id += 1;
        let frame = frame(request, version, id)?;
        let (sender, receiver) = oneshot::channel();
        match self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(waiting) => waiting.push_back((id, sender)),
            None => return Err(io::Error::from(ErrorKind::ConnectionReset).into()),
        }
        self.write.write_all(&frame).await?;
        Ok(Answer {
            version,
            frame: receiver,
            of: PhantomData,
        })
    }

    /// Sends a request and waits for its answer, both within `patience`.
    pub async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> anyhow::Result<R::Response> {
        let call = async { self.send(request, version).await?.received().await };
        timeout(patience, call).await.context("no answer in time")?
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl<R: Request> Answer<R> {
    /// The answer, or that there is none. Safe to cancel before it is there.
    pub async fn received(&mut self) -> anyhow::Result<R::Response> {
        let mut frame = (&mut self.frame).await.context("connection closed")?;
        ResponseHeader::decode(&mut frame, R::Response::header_version(self.version))?;
        let response = R::Response::decode(&mut frame, self.version)?;
        ensure!(frame.is_empty(), "an answer with {} bytes too many", frame.len());
        Ok(response)
    }
}

fn frame<R: Request>(request: &R, version: i16, id: i32) -> anyhow::Result<Bytes> {
    let mut frame = BytesMut::zeroed(4);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str("sim")));
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    let length = u32::try_from(frame.len() - 4)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

async fn read_answers(mut read: ReadHalf<DuplexStream>, waiting: Waiting) {
    while let Ok(frame) = read_frame(&mut read).await {
        let id = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .and_then(VecDeque::pop_front);
        match next {
            // Whoever gave up waiting does not need it.
            Some((expected, sender)) if Some(expected) == id => drop(sender.send(frame)),
            _ => break,
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

async fn read_frame(read: &mut ReadHalf<DuplexStream>) -> io::Result<Bytes> {
    let length = read.read_u32().await?;
    let mut frame = vec![0; length as usize];
    read.read_exact(&mut frame).await?;
    Ok(frame.into())
}
