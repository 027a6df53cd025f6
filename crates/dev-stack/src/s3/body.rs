//! Bodies in and out: bytes go to and from the disk in large pieces, each one trip to the blocking pool.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use s3s::dto::{Checksum, PutObjectInput, StreamingBlob};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::store::{self, Store, Upload};

/// Written or read in one piece: large enough that the trip does not count, small enough for many at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Runs what blocks away from the event loop; a panic there is ours.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> S3Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(internal),
        Err(error) => Err(S3Error::internal_error(error)),
    }
}

pub(super) fn internal(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::NotFound => s3_error!(NoSuchKey),
        io::ErrorKind::InvalidFilename => s3_error!(KeyTooLongError),
        _ => S3Error::internal_error(error),
    }
}

/// Receives a body into a temporary file and checks the checksum that came with it. Returns its length.
pub(super) async fn receive(
    store: Arc<Store>,
    input: &mut PutObjectInput,
    trailers: Option<TrailingHeaders>,
) -> S3Result<(Upload, u64)> {
    let mut sent = SentChecksum::of(input);
    let mut upload = blocking({
        let store = Arc::clone(&store);
        move || store.begin_upload()
    })
    .await?;
    let mut body = input
        .body
        .take()
        .unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    let (mut object_bytes, mut waiting, mut waiting_bytes) = (0, Vec::new(), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| s3_error!(IncompleteBody, "the body broke off: {error}"))?;
        sent.hasher.update(&chunk);
        object_bytes += chunk.len() as u64;
        waiting_bytes += chunk.len();
        waiting.push(chunk);
        if waiting_bytes >= PIECE_BYTES {
            upload = append(upload, std::mem::take(&mut waiting)).await?;
            waiting_bytes = 0;
        }
    }
    if !waiting.is_empty() {
        upload = append(upload, waiting).await?;
    }
    sent.verify(trailers)?;
    Ok((upload, object_bytes))
}

async fn append(mut upload: Upload, chunks: Vec<Bytes>) -> S3Result<Upload> {
    blocking(move || upload.append(&chunks).map(|()| upload)).await
}

/// The checksum a client sent, in a header or as a trailer. What it did not send is not computed: over a GiB every
/// algorithm is seconds of CPU. Content-MD5 is not checked, for the same reason.
struct SentChecksum {
    hasher: ChecksumHasher,
    expected: Checksum,
}

impl SentChecksum {
    fn of(input: &PutObjectInput) -> Self {
        let algorithm = input.checksum_algorithm.as_ref().map(|name| name.as_str());
        let wanted = |header: &Option<String>, name: &str| header.is_some() || algorithm == Some(name);
        let hasher = ChecksumHasher {
            crc32: wanted(&input.checksum_crc32, "CRC32").then(s3s::crypto::Crc32::new),
            crc32c: wanted(&input.checksum_crc32c, "CRC32C").then(s3s::crypto::Crc32c::new),
            sha1: wanted(&input.checksum_sha1, "SHA1").then(s3s::crypto::Sha1::new),
            sha256: wanted(&input.checksum_sha256, "SHA256").then(s3s::crypto::Sha256::new),
            crc64nvme: wanted(&input.checksum_crc64nvme, "CRC64NVME").then(s3s::crypto::Crc64Nvme::new),
        };
        let mut expected = Checksum::default();
        expected.checksum_crc32.clone_from(&input.checksum_crc32);
        expected.checksum_crc32c.clone_from(&input.checksum_crc32c);
        expected.checksum_sha1.clone_from(&input.checksum_sha1);
        expected.checksum_sha256.clone_from(&input.checksum_sha256);
        expected.checksum_crc64nvme.clone_from(&input.checksum_crc64nvme);
        Self { hasher, expected }
    }

    fn verify(mut self, trailers: Option<TrailingHeaders>) -> S3Result<()> {
        let sent = trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
        let trailer = |name: &str| sent.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let expected = &mut self.expected;
        let fields = [
            (&mut expected.checksum_crc32, "x-amz-checksum-crc32"),
            (&mut expected.checksum_crc32c, "x-amz-checksum-crc32c"),
            (&mut expected.checksum_sha1, "x-amz-checksum-sha1"),
            (&mut expected.checksum_sha256, "x-amz-checksum-sha256"),
            (&mut expected.checksum_crc64nvme, "x-amz-checksum-crc64nvme"),
        ];
        for (field, name) in fields {
            *field = field.take().or_else(|| trailer(name));
        }
        let got = self.hasher.finalize();
        let expected = self.expected;
        let pairs = [
            (got.checksum_crc32, expected.checksum_crc32),
            (got.checksum_crc32c, expected.checksum_crc32c),
            (got.checksum_sha1, expected.checksum_sha1),
            (got.checksum_sha256, expected.checksum_sha256),
            (got.checksum_crc64nvme, expected.checksum_crc64nvme),
        ];
        let wrong = |(got, expected): &(Option<String>, Option<String>)| {
            got.as_ref()
                .zip(expected.as_ref())
                .is_some_and(|(got, expected)| got != expected)
        };
        if pairs.iter().any(wrong) {
            return Err(s3_error!(
                BadDigest,
                "the checksum that was sent does not match the body"
            ));
        }
        Ok(())
    }
}

/// `length` bytes of an object from `start` on.
pub(super) fn send(file: File, start: u64, length: u64) -> StreamingBlob {
    StreamingBlob::wrap(pieces(Arc::new(file), start, start + length))
}

fn pieces(file: Arc<File>, start: u64, end: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let next = move |position: u64| {
        let file = Arc::clone(&file);
        async move {
            let length = usize::try_from(end - position).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            if length == 0 {
                return Ok(None);
            }
            let piece = tokio::task::spawn_blocking(move || store::read(&file, position, length)).await;
            let piece = piece.map_err(io::Error::other)??;
            Ok(Some((piece, position + length as u64)))
        }
    };
    stream::try_unfold(start, next)
}
