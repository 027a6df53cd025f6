//! One client's connection: frames in, answers out, in the order of the requests.
//!
//! Two halves run side by side in one task. The reader takes a frame, hands it to its handler and queues what comes back; the
//! `writer` sends the answers in that order. A handler that defers its answer (Produce, Fetch) lets the reader go on, so a
//! client's pipeline is full while its data are on their way; every other API is done before the next request is read.
//! What a connection can hold is bounded: the queue by [`ConnectionLimits::pipelined_max`] and by bytes, a deferred answer is not
//! worked on before all earlier ones have left. What all of them can hold is bounded by pools (`memory`); a connection whose client
//! does not take its answer while others wait for the memory is ended.
//!
//! When the client goes, deferred answers are dropped (a long poll ends; produced data stay in the buffer). When we end the
//! connection (a bad request, the agent stops), what was taken in before is answered first.

mod request;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::broker::Broker;
use crate::client::Client;
use crate::dispatch::Reply;
use crate::frame::{BytePermits, Frame, FrameError, FrameLimits, read_frame};
use crate::incoming::Accepted;
use crate::memory::pool::{AnswerPool, as_permits};
use crate::metrics::{BYTES_IN, CONNECTIONS_REFUSED, REQUESTS_REFUSED};
use request::{Refused, Request};
use writer::{Body, Pending, WriteError, write_answers};

/// What one connection may take.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Frames.
    pub frame: FrameLimits,
    /// Requests taken in whose answers have not left; at this number reading stops.
    pub pipelined_max: usize,
    /// Bytes of finished answers that wait for the client to read; at this number reading stops.
    pub answer_bytes_max: usize,
    /// How long the client may refuse to take any byte of an answer.
    pub write_stall: Duration,
}

/// What all connections take from.
#[derive(Clone, Debug)]
pub struct ConnectionPools {
    /// Bytes of requests.
    pub requests: BytePermits,
    /// Bytes of finished answers, but for those to fetches, which have pools of their own.
    pub answers: AnswerPool,
}

/// How long a client may take to close a connection that we have ended.
const LINGER: Duration = Duration::from_millis(500);

/// Why a connection ends.
enum End {
    /// Nobody is there any more: pending answers are dropped.
    Gone,
    /// Nothing more is read, but what was taken in is answered.
    Stopped,
}

/// Serves one client until it goes, misbehaves, or `shutdown` is cancelled.
pub async fn serve(
    accepted: Accepted,
    broker: Arc<Broker>,
    pools: ConnectionPools,
    limits: Arc<ConnectionLimits>,
    shutdown: CancellationToken,
) {
    let (mut reading_half, writing_half) = tokio::io::split(accepted.socket);
    let (queue, answers) = mpsc::channel(limits.pipelined_max);
    let mut reader = Reader {
        broker,
        client: Client {
            listener: accepted.listener,
            ..Client::new(accepted.peer)
        },
        permits: pools.requests,
        own_answers: Arc::new(Semaphore::new(limits.answer_bytes_max)),
        all_answers: pools.answers,
        limits: Arc::clone(&limits),
        queue,
    };
    let writing = write_answers(writing_half, answers, limits.write_stall);
    tokio::pin!(writing);
    let written = tokio::select! {
        biased;
        end = reader.run(&mut reading_half, &shutdown) => match end {
            End::Gone => return,
            End::Stopped => {
                drop(reader);
                let client_gone = gone(reading_half);
                tokio::pin!(client_gone);
                let written = tokio::select! {
                    biased;
                    written = &mut writing => written,
                    () = &mut client_gone => return,
                };
                // It has been told that nothing more comes; what it had sent by then is still on its way.
                let _ = timeout(LINGER, client_gone).await;
                written
            }
        },
        written = &mut writing => written,
    };
    if let Err(error) = written {
        if matches!(error, WriteError::Slow) {
            counter!(CONNECTIONS_REFUSED, "reason" => "slow").increment(1);
        }
        debug!(%error, "answers cannot be sent");
    }
}

/// Waits until the client is gone. What it still sends is thrown away: bytes left unread would make the kernel reset the
/// connection and take the last answers with it.
async fn gone<R: AsyncRead + Unpin>(mut socket: R) {
    // Either way nobody is there any more.
    let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
}

struct Reader {
    broker: Arc<Broker>,
    client: Client,
    permits: BytePermits,
    own_answers: Arc<Semaphore>,
    all_answers: AnswerPool,
    limits: Arc<ConnectionLimits>,
    queue: mpsc::Sender<Box<Pending>>,
}

impl Reader {
    async fn run<R: AsyncRead + Unpin>(&mut self, socket: &mut R, shutdown: &CancellationToken) -> End {
        loop {
            let read = tokio::select! {
                biased;
                // Cancelling loses at most a half-sent frame, which nobody was promised anything about.
                () = shutdown.cancelled() => return End::Stopped,
                read = self.next_frame(socket) => read,
            };
            match read {
                Ok(Some(frame)) => {
                    if let Err(end) = self.take(frame).await {
                        return end;
                    }
                }
                Ok(None) => return End::Gone,
                Err(error) => return self.give_up(&error),
            }
        }
    }

    /// Reads only when an answer has room in the queue.
    async fn next_frame<R: AsyncRead + Unpin>(&self, socket: &mut R) -> Result<Option<Frame>, FrameError> {
        if self.queue.reserve().await.is_err() {
            return Ok(None);
        }
        read_frame(socket, &self.permits, &self.limits.frame).await
    }

    async fn take(&mut self, frame: Frame) -> Result<(), End> {
        let received = Instant::now();
        counter!(BYTES_IN).increment(frame.bytes.len() as u64);
        let api = match self.answer(frame).await {
            Ok((api, body)) => body.map(|body| (api, body)),
            Err(refused) => return Err(self.refuse(&refused)),
        };
        let Some((api, body)) = api else { return Ok(()) };
        let memory = match &body {
            Body::Ready(answer) => {
                let bytes: usize = answer.iter().map(bytes::Bytes::len).sum();
                // One's own first: what a client that reads nothing waits for is its own doing.
                let own = Arc::clone(&self.own_answers)
                    .acquire_many_owned(as_permits(bytes.min(self.limits.answer_bytes_max)));
                let own = own.await.expect("the semaphore is never closed");
                Some((own, self.all_answers.take_all(bytes).await))
            }
            Body::Later(_) | Body::Fetched(_) | Body::AnyTime(_) => None,
        };
        let pending = Box::new(Pending {
            api,
            received,
            body,
            memory,
        });
        self.queue.send(pending).await.map_err(|_| End::Gone)
    }

    async fn answer(&mut self, frame: Frame) -> Result<(&'static str, Option<Body>), Refused> {
        let request = Request::parse(&frame, &mut self.client)?;
        let api = request.api.name;
        let reply = request.handle(&self.broker, &self.client, frame).await?;
        let body = match reply {
            Reply::Ready(answer) => Some(Body::Ready(answer)),
            Reply::Introduced(software, answer) => {
                self.client.introduce(software);
                Some(Body::Ready(answer))
            }
            Reply::Later(answer) if self.client.passed_on_for.is_some() => Some(Body::AnyTime(answer)),
            Reply::Later(answer) => Some(Body::Later(answer)),
            Reply::Fetched(answer) => Some(Body::Fetched(answer)),
            Reply::Nothing => None,
        };
        Ok((api, body))
    }

    /// Ends the connection over a request; the one line the log gets about it.
    fn refuse(&self, refused: &Refused) -> End {
        let api = refused.api_name();
        counter!(REQUESTS_REFUSED, "api" => api).increment(1);
        warn!(
            peer = %self.client.peer,
            client.id = self.client.client_id.as_deref(),
            api,
            api.key = refused.api_key,
            api.version = refused.api_version,
            error = %refused.why,
            "request refused, connection closed"
        );
        End::Stopped
    }

    /// Ends the connection over its frames.
    fn give_up(&self, error: &FrameError) -> End {
        let (reason, end) = match error {
            FrameError::Io(_) => ("lost", End::Gone),
            FrameError::Idle(_) => ("idle", End::Stopped),
            FrameError::Stalled(_) => ("stalled", End::Stopped),
            FrameError::Negative(_) | FrameError::TooLong { .. } | FrameError::TooShort(_) => ("frame", End::Stopped),
            FrameError::Foreign(_) => ("foreign", End::Stopped),
        };
        counter!(CONNECTIONS_REFUSED, "reason" => reason).increment(1);
        if matches!(error, FrameError::Io(_) | FrameError::Idle(_)) {
            debug!(peer = %self.client.peer, %error, "connection closed");
        } else {
            warn!(peer = %self.client.peer, %error, "connection closed");
        }
        end
    }
}

/// Counts a request's time when its answer has left.
fn record_duration(api: &'static str, received: Instant) {
    histogram!(crate::metrics::REQUEST_SECONDS, "api" => api).record(received.elapsed().as_secs_f64());
}
