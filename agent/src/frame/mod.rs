//! Frames: a length of four bytes, then that many bytes.
//!
//! Nothing a peer claims costs memory: a length outside the limits ends the connection before anything is taken, a legal one
//! takes its bytes from the [`BytePermits`] pool first, and then memory grows with what arrives. What is no Kafka at all
//! (a TLS hello, an HTTP request) is recognised by its first bytes, so that the log can say which port was mixed up.

mod permits;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

pub use permits::{BytePermit, BytePermits, RESERVE_BYTES};

/// API key, version and correlation id: less than this is no request of any API.
const HEADER_BYTES_MIN: usize = 8;

/// Bytes of the API key at the frame's start.
const KEY_BYTES: usize = 2;

/// Produce's API key; the one request that has to do without the reserve.
const PRODUCE: [u8; KEY_BYTES] = (ApiKey::Produce as i16).to_be_bytes();

/// What a request costs besides its bytes, about: its place in the pipeline, what its producer waits for. Without it, requests of
/// nothing would take memory that nobody counts.
const REQUEST_BYTES: usize = 1024;

/// Largest frame of any other request, so that the reserve has room for it: none that clients send comes near.
const OTHER_FRAME_BYTES_MAX: usize = RESERVE_BYTES - REQUEST_BYTES;

/// Memory taken for a frame before its first byte has arrived.
const FIRST_CHUNK_BYTES: usize = 1024 * 1024;

/// Slowest peer we bear: on top of the stall timeout a frame gets a second for each so many bytes.
const FRAME_BYTES_PER_S_MIN: u64 = 256 * 1024;

/// What a frame may be, and how long it may take.
#[derive(Clone, Debug)]
pub struct FrameLimits {
    /// Largest frame.
    pub frame_bytes_max: usize,
    /// How long a connection may stay silent between frames.
    pub idle: Duration,
    /// How long a frame may take from its first byte on (large frames get more, by their size).
    pub stall: Duration,
}

/// One request as it came in, with the bytes it holds of the pool.
#[derive(Debug)]
pub struct Frame {
    /// Everything after the length.
    pub bytes: Bytes,
    /// Keeps the bytes counted for as long as somebody holds it.
    pub permit: Arc<BytePermit>,
}

/// Why no frame can be read from this connection any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke, perhaps in the middle of a frame.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// Nothing came for the idle time.
    #[error("idle for {} s", .0.as_secs())]
    Idle(Duration),
    /// A frame began and did not end in time.
    #[error("frame not complete after {} s", .0.as_secs())]
    Stalled(Duration),
    /// A length below zero.
    #[error("frame length {0} is negative")]
    Negative(i32),
    /// A length above the limit.
    #[error("frame of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// What the peer claims.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A frame too short for any request.
    #[error("frame of {0} bytes is too short for a request")]
    TooShort(usize),
    /// Another protocol.
    #[error("peer speaks {0}, not Kafka")]
    Foreign(&'static str),
}

/// Reads the next frame; `None` when the peer closed the connection between two frames.
///
/// Not safe to cancel: a half-read frame is lost. Whoever cancels it has to close the connection.
pub async fn read_frame<R: AsyncRead + Unpin>(
    reader: &mut R,
    permits: &BytePermits,
    limits: &FrameLimits,
) -> Result<Option<Frame>, FrameError> {
    let Some(prefix) = read_prefix(reader, limits).await? else {
        return Ok(None);
    };
    let length = checked_length(prefix, limits.frame_bytes_max)?;
    let mut key = [0; KEY_BYTES];
    in_time(limits.stall, reader.read_exact(&mut key)).await?;
    let counted = length + REQUEST_BYTES;
    let permit = match key {
        PRODUCE => permits.acquire(counted).await,
        _ if length > OTHER_FRAME_BYTES_MAX => {
            return Err(FrameError::TooLong {
                bytes: length,
                max: OTHER_FRAME_BYTES_MAX,
            });
        }
        _ => permits.acquire_or_reserve(counted).await,
    };
    let time_max = limits.stall + Duration::from_secs(length as u64 / FRAME_BYTES_PER_S_MIN);
    let bytes = in_time(time_max, read_body(reader, key, length)).await?;
    Ok(Some(Frame { bytes, permit }))
}

async fn read_prefix<R: AsyncRead + Unpin>(
    reader: &mut R,
    limits: &FrameLimits,
) -> Result<Option<[u8; 4]>, FrameError> {
    let mut prefix = [0; 4];
    let read = timeout(limits.idle, reader.read(&mut prefix))
        .await
        .map_err(|_| FrameError::Idle(limits.idle))??;
    if read == 0 {
        return Ok(None);
    }
    in_time(limits.stall, reader.read_exact(&mut prefix[read..])).await?;
    Ok(Some(prefix))
}

async fn in_time<T>(time_max: Duration, read: impl Future<Output = io::Result<T>>) -> Result<T, FrameError> {
    let read = timeout(time_max, read).await;
    Ok(read.map_err(|_| FrameError::Stalled(time_max))??)
}

fn checked_length(prefix: [u8; 4], frame_bytes_max: usize) -> Result<usize, FrameError> {
    let claimed = i32::from_be_bytes(prefix);
    let length = usize::try_from(claimed).map_err(|_| FrameError::Negative(claimed))?;
    if length > frame_bytes_max {
        // All of these, read as a length, are over any limit we take.
        return Err(foreign_protocol(prefix).map_or(
            FrameError::TooLong {
                bytes: length,
                max: frame_bytes_max,
            },
            FrameError::Foreign,
        ));
    }
    if length < HEADER_BYTES_MIN {
        return Err(FrameError::TooShort(length));
    }
    Ok(length)
}

/// The protocol that starts so, if it is one we know: a TLS handshake record, or the first line of HTTP 1 or 2.
fn foreign_protocol(prefix: [u8; 4]) -> Option<&'static str> {
    match &prefix {
        [0x16, 0x03, ..] => Some("TLS"),
        b"GET " | b"PUT " | b"POST" | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"TRAC" | b"PRI " => {
            Some("HTTP")
        }
        _ => None,
    }
}

/// Grows by doubling as bytes arrive, so a client that announces 100 MiB and sends five bytes costs one chunk.
async fn read_body<R: AsyncRead + Unpin>(reader: &mut R, key: [u8; KEY_BYTES], length: usize) -> io::Result<Bytes> {
    let mut body = Vec::with_capacity(length.min(FIRST_CHUNK_BYTES));
    body.extend_from_slice(&key);
    while body.len() < length {
        if body.len() == body.capacity() {
            body.reserve_exact((length - body.len()).min(body.len()));
        }
        let room = body.capacity().min(length) - body.len();
        if reader.read_buf(&mut (&mut body).limit(room)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Bytes::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        frame_bytes_max: 4 * 1024 * 1024,
        idle: Duration::from_secs(600),
        stall: Duration::from_secs(30),
    };

    async fn read(mut input: &[u8]) -> Result<Option<Frame>, FrameError> {
        read_frame(&mut input, &BytePermits::new(8 * 1024 * 1024), &LIMITS).await
    }

    #[tokio::test]
    async fn frames_come_out_whole_whatever_their_size() {
        for length in [8, 1000, FIRST_CHUNK_BYTES, FIRST_CHUNK_BYTES + 1, 3_500_000] {
            let body: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut input = u32::try_from(length).unwrap().to_be_bytes().to_vec();
            input.extend_from_slice(&body);
            let frame = read(&input).await.unwrap().unwrap();
            assert_eq!(frame.bytes, body);
            assert_eq!(frame.permit.bytes(), length + REQUEST_BYTES);
        }
        assert!(read(b"").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_named() {
        assert!(matches!(read(&[0xff; 9]).await, Err(FrameError::Negative(-1))));
        assert!(matches!(read(&[0, 0, 0, 7]).await, Err(FrameError::TooShort(7))));
        assert!(matches!(read(&[0x10, 0, 0, 0]).await, Err(FrameError::TooLong { .. })));
        assert!(matches!(read(&[0x16, 3, 1, 2]).await, Err(FrameError::Foreign("TLS"))));
        assert!(matches!(
            read(b"GET / HTTP/1.1\r\n").await,
            Err(FrameError::Foreign("HTTP"))
        ));
        assert!(matches!(read(&[0, 0, 0, 9, 1]).await, Err(FrameError::Io(_))));
    }

    #[tokio::test]
    async fn only_produced_data_may_be_more_than_the_reserve() {
        let permits = BytePermits::new(64 << 20);
        let limits = FrameLimits {
            frame_bytes_max: 32 << 20,
            ..LIMITS
        };
        let first_bytes = |key: ApiKey| [&(17_i32 << 20).to_be_bytes()[..], &(key as i16).to_be_bytes()].concat();
        let read = async |key| read_frame(&mut &first_bytes(key)[..], &permits, &limits).await;
        assert!(matches!(
            read(ApiKey::Fetch).await,
            Err(FrameError::TooLong {
                max: OTHER_FRAME_BYTES_MAX,
                ..
            })
        ));
        // Taken, and then the connection ends.
        assert!(matches!(read(ApiKey::Produce).await, Err(FrameError::Io(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_sent_frame_times_out_and_gives_its_bytes_back() {
        let permits = BytePermits::new(8 * 1024 * 1024);
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut theirs, &[0, 0, 1, 0, 5])
            .await
            .unwrap();
        let error = read_frame(&mut ours, &permits, &LIMITS).await.unwrap_err();
        assert!(matches!(error, FrameError::Stalled(_)), "{error}");
        assert_eq!(permits.bytes_free(), permits.bytes_max());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_frames_ends_at_the_idle_time() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let error = read_frame(&mut ours, &BytePermits::new(1 << 20), &LIMITS)
            .await
            .unwrap_err();
        assert!(matches!(error, FrameError::Idle(_)), "{error}");
    }
}
