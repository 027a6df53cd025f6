//! The real S3, through the AWS SDK.
//!
//! A body is never copied on its way out and read exactly once before it is sent, for its CRC-32C; the signature
//! leaves it out (`UNSIGNED-PAYLOAD`), TLS and the checksum that S3 verifies stand in for it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::{Bytes, BytesMut};
use tracing::Instrument;
use types::{ByteRange, ObjectKey};

use crate::client::{self, Clients, S3Timeouts};
use crate::config::{S3Config, S3ConfigError};
use crate::directory::{FirstAfter, is_directory};
use crate::{GetRange, Got, ListedObject, ObjectStore, PutOutcome, StorageError, StorageErrorKind, metrics, sdk_error};

const PUT: &str = "PutObject";
const GET: &str = "GetObject";
const LIST: &str = "ListObjectsV2";
const DELETE: &str = "DeleteObject";

/// As many keys as one answer of S3 has.
const LIST_KEYS_MAX: i32 = 1000;

/// Memory taken for a body on the word of a header; a longer body grows as its bytes come in.
const BODY_RESERVED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One bucket.
#[derive(Clone, Debug)]
pub struct S3Store {
    clients: Clients,
    bucket: String,
    total: Duration,
}

impl S3Store {
    /// Makes the client; no request is sent to S3 (`check` does that).
    pub async fn new(config: &S3Config) -> Result<Self, S3ConfigError> {
        Self::with_timeouts(config, S3Timeouts::default()).await
    }

    /// The same with other time limits.
    pub async fn with_timeouts(config: &S3Config, timeouts: S3Timeouts) -> Result<Self, S3ConfigError> {
        let clients = client::build(config, timeouts).await?;
        Ok(Self {
            clients,
            bucket: config.bucket.clone(),
            total: timeouts.total,
        })
    }

    async fn try_put(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        let body_bytes = body.len();
        let checksum = aws_smithy_types::base64::encode(crc32c::crc32c(&body).to_be_bytes());
        let put = self.clients.single.put_object().bucket(&self.bucket).key(key.as_str());
        let put = put
            .if_none_match("*")
            .checksum_crc32_c(checksum)
            .body(ByteStream::new(SdkBody::from(body)));
        match put.customize().disable_payload_signing().send().await {
            Ok(_) => {
                metrics::count_bytes(PUT, body_bytes);
                Ok(PutOutcome::Created)
            }
            Err(error) if sdk_error::status_of(&error) == Some(412) => Ok(PutOutcome::AlreadyExists),
            Err(error) => Err(sdk_error::map(PUT, key.as_str(), &error)),
        }
    }

    async fn try_get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        if range.is_empty() {
            return Err(get_error(
                StorageErrorKind::RangeNotSatisfiable,
                key,
                "the range asked for is empty",
            ));
        }
        let get = self
            .clients
            .repeating
            .get_object()
            .bucket(&self.bucket)
            .key(key.as_str());
        let sent = get.set_range(range.to_http()).send().await;
        let mut answer = sent.map_err(|error| sdk_error::map(GET, key.as_str(), &error))?;
        let (found, object_bytes) =
            found_range(&answer, range).map_err(|said| get_error(StorageErrorKind::Other, key, said))?;
        let bytes = collect(&mut answer.body, found.len()).await;
        let bytes = bytes.map_err(|said| get_error(StorageErrorKind::Unavailable, key, said))?;
        metrics::count_bytes(GET, bytes.len());
        Ok(Got {
            bytes,
            range: found,
            object_bytes,
        })
    }

    async fn try_list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        if is_directory(&self.bucket) {
            return self.try_list_directory(prefix, start_after).await;
        }
        let page = self.list_page(prefix, Page::After(start_after), LIST_KEYS_MAX).await?;
        Ok(objects(page).collect())
    }

    /// As many requests as the prefix has pages, each bounded in time.
    async fn try_list_directory(
        &self,
        prefix: &str,
        start_after: Option<&str>,
    ) -> Result<Vec<ListedObject>, StorageError> {
        let mut first = FirstAfter::new(start_after, LIST_KEYS_MAX as usize);
        let mut token = None;
        loop {
            let page = self.list_page(prefix, Page::Next(token), LIST_KEYS_MAX).await?;
            token = page.next_continuation_token.clone();
            objects(page).for_each(|object| first.offer(object));
            if token.is_none() {
                return Ok(first.into_objects());
            }
        }
    }

    async fn list_page(&self, prefix: &str, page: Page<'_>, max: i32) -> Result<ListObjectsV2Output, StorageError> {
        let list = self.clients.repeating.list_objects_v2().bucket(&self.bucket);
        // A directory bucket takes a prefix that ends in a slash, or none.
        let list = list
            .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
            .max_keys(max);
        let list = match page {
            Page::After(key) => list.set_start_after(key.map(str::to_owned)),
            Page::Next(token) => list.set_continuation_token(token),
        };
        let sent = list.send().await;
        sent.map_err(|error| sdk_error::map(LIST, prefix, &error))
    }

    async fn try_delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let delete = self
            .clients
            .repeating
            .delete_object()
            .bucket(&self.bucket)
            .key(key.as_str());
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => match sdk_error::map(DELETE, key.as_str(), &error) {
                error if error.kind == StorageErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_if_absent(&self, key: &ObjectKey, body: Bytes) -> Result<PutOutcome, StorageError> {
        let call = self.try_put(key, body).instrument(span(PUT, key.as_str()));
        metrics::observed(PUT, call, |outcome| match outcome {
            PutOutcome::Created => "ok",
            PutOutcome::AlreadyExists => "already_exists",
        })
        .await
    }

    async fn get(&self, key: &ObjectKey, range: GetRange) -> Result<Got, StorageError> {
        // The SDK's own time limits end with the headers; this one covers the body too.
        let call = async {
            let bounded = tokio::time::timeout(self.total, self.try_get(key, range)).await;
            bounded.unwrap_or_else(|_| {
                Err(get_error(
                    StorageErrorKind::TimedOut,
                    key,
                    "the body did not arrive in time",
                ))
            })
        };
        metrics::observed(GET, call.instrument(span(GET, key.as_str())), |_| "ok").await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<ListedObject>, StorageError> {
        let call = self.try_list(prefix, start_after).instrument(span(LIST, prefix));
        metrics::observed(LIST, call, |_| "ok").await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let call = self.try_delete(key).instrument(span(DELETE, key.as_str()));
        metrics::observed(DELETE, call, |()| "ok").await
    }

    /// A LIST of one key: HeadBucket would do, but the answer to a HEAD has no body and so no error code.
    async fn check(&self) -> Result<(), StorageError> {
        let listed = metrics::observed(LIST, self.list_page("", Page::After(None), 1), |_| "ok").await;
        listed.map(drop).map_err(|error| StorageError {
            key: format!("bucket {}", self.bucket),
            ..error
        })
    }
}

/// Where a page of a LIST begins.
enum Page<'a> {
    /// After this key, or with the first.
    After(Option<&'a str>),
    /// Where the one before ended, or with the first.
    Next(Option<String>),
}

fn objects(page: ListObjectsV2Output) -> impl Iterator<Item = ListedObject> {
    page.contents.unwrap_or_default().into_iter().filter_map(|object| {
        let object_bytes = u64::try_from(object.size?).ok()?;
        Some(ListedObject {
            key: ObjectKey::new(object.key?),
            object_bytes,
        })
    })
}

fn span(operation: &'static str, key: &str) -> tracing::Span {
    tracing::debug_span!("s3", operation, object.key = key)
}

fn get_error(kind: StorageErrorKind, key: &ObjectKey, message: impl Into<String>) -> StorageError {
    StorageError {
        kind,
        operation: GET,
        key: key.to_string(),
        message: message.into(),
    }
}

/// Which bytes the answer holds, and the size of the whole object. Fewer or other bytes than were asked for, which HTTP
/// allows and S3 does not do, are refused: callers rely on getting what is there.
fn found_range(answer: &GetObjectOutput, asked: GetRange) -> Result<(ByteRange, u64), String> {
    if let Some(header) = &answer.content_range {
        let found = parse_content_range(header).filter(|(range, size)| asked.within(*size) == *range);
        return found.ok_or_else(|| format!("unusable content-range: {header}"));
    }
    let object_bytes = answer
        .content_length
        .and_then(|n| u64::try_from(n).ok())
        .ok_or("no content-length")?;
    // Without the header the answer is the whole object: right if that is what was asked for.
    if asked.within(object_bytes)
        == (ByteRange {
            start: 0,
            end: object_bytes,
        })
    {
        return Ok((
            ByteRange {
                start: 0,
                end: object_bytes,
            },
            object_bytes,
        ));
    }
    Err("the range was ignored".to_owned())
}

/// `bytes 0-9/100`.
fn parse_content_range(header: &str) -> Option<(ByteRange, u64)> {
    let (range, size) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last_inclusive) = range.split_once('-')?;
    let object_bytes = size.parse().ok()?;
    let range = ByteRange::new(first.parse().ok()?, last_inclusive.parse::<u64>().ok()?.checked_add(1)?)?;
    (range.end <= object_bytes).then_some((range, object_bytes))
}

/// Gathers exactly `expected` bytes: a body of one frame is taken as it is, others are copied once.
async fn collect(body: &mut ByteStream, expected: u64) -> Result<Bytes, String> {
    let expected = usize::try_from(expected).map_err(|_| "the body is larger than memory".to_owned())?;
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.try_next().await.map_err(|error| error.to_string())? {
        if gathered.is_empty() && frame.len() == expected {
            return Ok(frame);
        }
        if gathered.capacity() == 0 {
            gathered.reserve(expected.min(BODY_RESERVED_BYTES_MAX));
        }
        gathered.extend_from_slice(&frame);
    }
    if gathered.len() == expected {
        Ok(gathered.freeze())
    } else {
        Err(format!("the body ended after {} of {expected} bytes", gathered.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_becomes_a_half_open_range_and_a_size() {
        assert_eq!(
            parse_content_range("bytes 0-9/100"),
            Some((ByteRange { start: 0, end: 10 }, 100))
        );
        for bad in [
            "bytes 0-9/*",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "items 0-9/100",
            "bytes 0-18446744073709551615/1",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
