//! The writing half: answers leave in the order of their requests.

use std::io;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use metrics::counter;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::{Instant, timeout};

use super::record_duration;
use crate::answer::{Answer, EncodeError};
use crate::dispatch::Fetched;
use crate::memory::pool::{Grant, Leaving};
use crate::metrics::BYTES_OUT;

/// Pieces up to this size are gathered into one write; larger ones are written from where they lie.
const GATHERED_BYTES_MAX: usize = 16 * 1024;

/// An answer that has not left. In queues it is boxed: they take memory for 32 of them as soon as they are there, and most connections
/// are silent.
pub(super) struct Pending {
    pub(super) api: &'static str,
    pub(super) received: Instant,
    pub(super) body: Body,
    /// Keeps a finished answer counted until it has left: among this connection's, and among those of all.
    pub(super) memory: Option<(OwnedSemaphorePermit, Grant)>,
}

pub(super) enum Body {
    Ready(Answer),
    Later(BoxFuture<'static, Result<Answer, EncodeError>>),
    Fetched(BoxFuture<'static, Result<Fetched, EncodeError>>),
    /// Whenever it is ready: who asked tells answers apart by their correlation ids.
    AnyTime(BoxFuture<'static, Result<Answer, EncodeError>>),
}

/// Why no more answers leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the client took no byte for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the client took its answer too slowly while others waited for the memory")]
    Slow,
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Sends answers until the queue is closed and empty, then says that nothing more comes.
pub(super) async fn write_answers<W: AsyncWrite + Unpin>(
    socket: W,
    mut queue: mpsc::Receiver<Box<Pending>>,
    stall: Duration,
) -> Result<(), WriteError> {
    let mut out = Out {
        socket,
        gathered: Vec::new(),
        stall,
    };
    let mut any_time = FuturesUnordered::new();
    while let Some(pending) = next_of_all(&mut queue, &mut any_time, &mut out).await? {
        let Pending {
            api,
            received,
            body,
            memory,
        } = *pending;
        let (own, memory) = memory.unzip();
        let (answer, memory) = match body {
            Body::Ready(answer) => (answer, memory),
            Body::Later(answer) => (finish(answer, &mut out).await?, None),
            Body::Fetched(answer) => finish(answer, &mut out).await?,
            Body::AnyTime(answer) => {
                any_time.push(in_its_time(api, received, answer));
                continue;
            }
        };
        let leaving = memory.map(Grant::leave);
        for piece in answer {
            out.put(piece, leaving.as_ref()).await?;
        }
        drop((own, leaving));
        record_duration(api, received);
    }
    out.socket.shutdown().await?;
    Ok(())
}

/// Most answers of one connection that are worked on out of turn; at this number no more are taken from the queue.
const ANY_TIME_MAX: usize = 8192;

type AnyTime = FuturesUnordered<BoxFuture<'static, Result<Box<Pending>, EncodeError>>>;

fn in_its_time(
    api: &'static str,
    received: Instant,
    answer: BoxFuture<'static, Result<Answer, EncodeError>>,
) -> BoxFuture<'static, Result<Box<Pending>, EncodeError>> {
    let ready = async move {
        Ok(Box::new(Pending {
            api,
            received,
            body: Body::Ready(answer.await?),
            memory: None,
        }))
    };
    ready.boxed()
}

/// The next of the queue, or what is ready out of turn. None is left when the queue is closed and all are answered.
async fn next_of_all<W: AsyncWrite + Unpin>(
    queue: &mut mpsc::Receiver<Box<Pending>>,
    any_time: &mut AnyTime,
    out: &mut Out<W>,
) -> Result<Option<Box<Pending>>, WriteError> {
    if any_time.is_empty() {
        return next(queue, out).await;
    }
    if let Poll::Ready(Some(ready)) = futures::poll!(any_time.next()) {
        return Ok(Some(ready?));
    }
    if any_time.len() < ANY_TIME_MAX
        && let Ok(pending) = queue.try_recv()
    {
        return Ok(Some(pending));
    }
    out.flush().await?;
    let room = any_time.len() < ANY_TIME_MAX;
    tokio::select! {
        biased;
        Some(ready) = any_time.next() => Ok(Some(ready?)),
        Some(pending) = queue.recv(), if room => Ok(Some(pending)),
        else => Ok(None),
    }
}

/// The next of the queue. What was gathered leaves before it has to be waited for.
async fn next<W: AsyncWrite + Unpin>(
    queue: &mut mpsc::Receiver<Box<Pending>>,
    out: &mut Out<W>,
) -> Result<Option<Box<Pending>>, WriteError> {
    match queue.try_recv() {
        Ok(pending) => Ok(Some(pending)),
        Err(TryRecvError::Empty) => {
            out.flush().await?;
            Ok(queue.recv().await)
        }
        Err(TryRecvError::Disconnected) => out.flush().await.map(|()| None),
    }
}

/// A deferred answer; likewise.
async fn finish<W: AsyncWrite + Unpin, A>(
    mut answer: BoxFuture<'static, Result<A, EncodeError>>,
    out: &mut Out<W>,
) -> Result<A, WriteError> {
    if let Poll::Ready(answer) = futures::poll!(&mut answer) {
        return Ok(answer?);
    }
    out.flush().await?;
    Ok(answer.await?)
}

/// A buffer of small pieces before the socket; it takes no memory while the connection is idle.
struct Out<W> {
    socket: W,
    gathered: Vec<u8>,
    stall: Duration,
}

impl<W: AsyncWrite + Unpin> Out<W> {
    async fn put(&mut self, piece: Bytes, leaving: Option<&Leaving>) -> Result<(), WriteError> {
        if self.gathered.len() + piece.len() > GATHERED_BYTES_MAX {
            self.flush_with(leaving).await?;
        }
        if piece.len() < GATHERED_BYTES_MAX {
            self.gathered.extend_from_slice(&piece);
            return Ok(());
        }
        self.write(&piece, leaving).await
    }

    async fn flush(&mut self) -> Result<(), WriteError> {
        self.flush_with(None).await
    }

    async fn flush_with(&mut self, leaving: Option<&Leaving>) -> Result<(), WriteError> {
        let gathered = std::mem::take(&mut self.gathered);
        self.write(&gathered, leaving).await
    }

    /// Like `write_all`, but a client that takes no byte at all is given up, and so is a slow one in whose way others are.
    async fn write(&mut self, mut bytes: &[u8], leaving: Option<&Leaving>) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let writing = timeout(self.stall, self.socket.write(bytes));
            let written = match leaving {
                None => writing.await,
                Some(leaving) => tokio::select! {
                    biased;
                    written = writing => written,
                    () = leaving.ended() => return Err(WriteError::Slow),
                },
            };
            let written = written.map_err(|_| WriteError::Stalled(self.stall))??;
            if let Some(leaving) = leaving {
                leaving.took(written);
            }
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            counter!(BYTES_OUT).increment(written as u64);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::AsyncReadExt;
    use tokio::sync::oneshot;

    use super::*;

    fn pending(body: Body) -> Box<Pending> {
        Box::new(Pending {
            api: "test",
            received: Instant::now(),
            body,
            memory: None,
        })
    }

    fn deferred() -> (oneshot::Sender<&'static [u8]>, Box<Pending>) {
        let (sender, receiver) = oneshot::channel();
        let answer = receiver.map(|bytes| Ok(vec![Bytes::from_static(bytes.expect("the test sends it"))]));
        (sender, pending(Body::Later(answer.boxed())))
    }

    #[tokio::test]
    async fn answers_leave_in_the_order_of_requests_whichever_is_ready_first() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (queue, answers) = mpsc::channel(8);
        let writing = tokio::spawn(write_answers(ours, answers, Duration::from_secs(60)));
        let (first, first_pending) = deferred();
        let (third, third_pending) = deferred();
        for pending in [
            first_pending,
            pending(Body::Ready(vec![Bytes::from_static(b"2")])),
            third_pending,
        ] {
            queue.send(pending).await.map_err(|_| "the writer is gone").unwrap();
        }
        third.send(b"3").unwrap();
        assert!(theirs.read_u8().now_or_never().is_none());
        first.send(b"1").unwrap();
        let mut read = [0; 3];
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"123");
        drop(queue);
        writing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_does_not_wait_for_the_deferred_one_behind_it() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (queue, answers) = mpsc::channel(8);
        let (_never, behind) = deferred();
        let ready = pending(Body::Ready(vec![Bytes::from_static(b"1")]));
        for pending in [ready, behind] {
            queue.send(pending).await.map_err(|_| "the writer is gone").unwrap();
        }
        tokio::spawn(write_answers(ours, answers, Duration::from_secs(60)));
        assert_eq!(theirs.read_u8().await.unwrap(), b'1');
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_byte_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let (queue, answers) = mpsc::channel(8);
        let large = pending(Body::Ready(vec![Bytes::from(vec![0; 100_000])]));
        queue.send(large).await.map_err(|_| "the writer is gone").unwrap();
        let error = write_answers(ours, answers, Duration::from_secs(60)).await.unwrap_err();
        assert!(matches!(error, WriteError::Stalled(_)), "{error}");
    }
}
