//! One connection to another agent, shared by all requests for it: written in turn, answered in whichever order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use types::limits::FRAME_BYTES_MAX;

use super::{Dialer, Passed};
use crate::incoming::Socket;

/// A link that has nothing to do for so long is closed; well before the other agent would.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long the other agent may refuse to take any byte.
const WRITE_STALL: Duration = Duration::from_secs(10);

/// Most requests of one link that wait for their answers.
const AWAITED_MAX: usize = 8192;

/// Bytes of an answer that are made room for before they have arrived.
const FIRST_CHUNK_BYTES: usize = 64 * 1024;

/// A request on its way, and where its answer goes.
pub(super) struct Letter {
    pub(super) request: Passed,
    pub(super) answer: oneshot::Sender<Bytes>,
}

/// Who waits for which answer, by correlation id. Dropped, all of them learn that there is none.
type Awaited = Mutex<BTreeMap<i32, oneshot::Sender<Bytes>>>;

/// A connection to another agent.
pub(super) struct Link {
    address: String,
    dialer: Arc<dyn Dialer>,
    dial_timeout: Duration,
}

impl Link {
    pub(super) fn new(address: String, dialer: Arc<dyn Dialer>, dial_timeout: Duration) -> Self {
        Self {
            address,
            dialer,
            dial_timeout,
        }
    }

    /// Connects, and passes letters on until the connection breaks, or nothing is to be done for a while.
    pub(super) async fn run(self, mut inbox: mpsc::Receiver<Letter>, shutdown: CancellationToken) {
        let passing = self.pass(&mut inbox);
        if let Some(Err(error)) = shutdown.run_until_cancelled(passing).await {
            // Those whose requests it carried say more; there may be many of them until the agent's lease runs out.
            tracing::debug!(peer = self.address, %error, "another agent cannot be reached");
        }
        // Letters that are still in there are dropped with it, and their senders told so.
    }

    async fn pass(&self, inbox: &mut mpsc::Receiver<Letter>) -> io::Result<()> {
        let dialed = timeout(self.dial_timeout, self.dialer.dial(&self.address)).await;
        let socket = dialed.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (reading, writing) = tokio::io::split(socket);
        let awaited = Awaited::default();
        // Side by side: an agent that waits for us to read must not wait for ever while we wait for it to do so.
        tokio::select! {
            biased;
            ended = read_answers(reading, &awaited) => ended,
            ended = write_letters(writing, inbox, &awaited) => ended,
        }
    }
}

async fn write_letters(
    mut socket: WriteHalf<Box<dyn Socket>>,
    inbox: &mut mpsc::Receiver<Letter>,
    awaited: &Awaited,
) -> io::Result<()> {
    let mut next_id: i32 = 0;
    loop {
        let Letter { request, answer } = match timeout(IDLE_MAX, inbox.recv()).await {
            Ok(Some(letter)) => letter,
            Ok(None) => return Ok(()),
            Err(_) if lock(awaited).is_empty() => {
                // What was sent up to now is still passed on.
                inbox.close();
                continue;
            }
            Err(_) => continue,
        };
        next_id = next_id.wrapping_add(1);
        if !register(awaited, next_id, answer) {
            continue;
        }
        write(&mut socket, next_id, &request).await?;
    }
}

/// False: too many wait already, and this one is told so by being dropped.
fn register(awaited: &Awaited, id: i32, answer: oneshot::Sender<Bytes>) -> bool {
    let mut awaited = lock(awaited);
    if awaited.len() >= AWAITED_MAX {
        // Those whose clients have gone need no place.
        awaited.retain(|_, answer| !answer.is_closed());
    }
    let room = awaited.len() < AWAITED_MAX;
    if room {
        awaited.insert(id, answer);
    }
    room
}

fn lock(awaited: &Awaited) -> MutexGuard<'_, BTreeMap<i32, oneshot::Sender<Bytes>>> {
    awaited.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(socket: &mut WriteHalf<Box<dyn Socket>>, id: i32, request: &Passed) -> io::Result<()> {
    let frame = frame(id, request)?;
    let written = timeout(WRITE_STALL, socket.write_all(&frame)).await;
    written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn frame(id: i32, request: &Passed) -> io::Result<Bytes> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut frame = BytesMut::with_capacity(32 + request.client_id.len() + request.body.len());
    frame.put_i32(0);
    frame.put_i16(request.api_key);
    frame.put_i16(request.version);
    frame.put_i32(id);
    frame.put_i16(i16::try_from(request.client_id.len()).map_err(invalid)?);
    frame.put_slice(request.client_id.as_bytes());
    if request.flexible {
        frame.put_u8(0);
    }
    frame.put_slice(&request.body);
    let length = i32::try_from(frame.len() - 4).map_err(invalid)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// Reads answers until the connection ends.
async fn read_answers(mut socket: ReadHalf<Box<dyn Socket>>, awaited: &Awaited) -> io::Result<()> {
    loop {
        let length = usize::try_from(socket.read_i32().await?).ok();
        let length = length.filter(|length| (4..=FRAME_BYTES_MAX).contains(length));
        let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let mut body = BytesMut::with_capacity(length.min(FIRST_CHUNK_BYTES));
        while body.len() < length {
            let mut rest = (&mut socket).take((length - body.len()) as u64);
            if rest.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let id = body.get_i32();
        let answer = lock(awaited).remove(&id);
        if let Some(answer) = answer {
            // Its client may have gone.
            let _ = answer.send(body.freeze());
        }
    }
}
