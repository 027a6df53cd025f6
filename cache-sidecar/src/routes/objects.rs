//! `GET`, `HEAD` and `PUT /v1/objects/{key}`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::Extensions;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use cache_api::contract::CACHE_STATUS;
use http_body::{Frame, SizeHint};
use telemetry::{TRACEPARENT, TraceContext};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, debug_span};
use types::{ByteRange, ObjectKey};

use crate::asker::Asker;
use crate::error::ObjectError;
use crate::metrics::RequestTimer;
use crate::objects::{Found, Objects};
use crate::range_header::{self, Wanted};

/// The longest key that S3 has: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
const KEY_BYTES_MAX: usize = 1024;

pub(crate) async fn get(
    State(objects): State<Objects>,
    Path(key): Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
) -> axum::response::Response {
    let (timer, key) = (RequestTimer::start("GET"), ObjectKey::new(key));
    let span = debug_span!("get", object.key = %key);
    let traceparent = headers.get(TRACEPARENT).map(HeaderValue::as_bytes);
    telemetry::follow(&span, traceparent.and_then(TraceContext::parse));
    let asker = asker(&headers, &extensions);
    let response = match read(&objects, &key, &headers, &asker).instrument(span).await {
        Ok((wanted, found)) => {
            let cache_status = found.sources.cache_status(asker.gets.so_far());
            let head = answer_head(&key, wanted, found.range, found.object_bytes, cache_status);
            head.body(Body::new(Pieces::from(found)))
                .map_err(|_| ObjectError::BadRequest("the key fits no header"))
        }
        Err(error) => Err(error),
    };
    finish(timer, &key, response)
}

pub(crate) async fn head(
    State(objects): State<Objects>,
    Path(key): Path<String>,
    extensions: Extensions,
    headers: HeaderMap,
) -> axum::response::Response {
    let (timer, key) = (RequestTimer::start("HEAD"), ObjectKey::new(key));
    let response = describe(&objects, &key, &headers, &extensions).await;
    finish(timer, &key, response)
}

pub(crate) async fn put(
    State(objects): State<Objects>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> axum::response::Response {
    let (timer, key) = (RequestTimer::start("PUT"), ObjectKey::new(key));
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    let response = match (refuse_too_long(&key), length) {
        (Err(error), _) => Err(error),
        (Ok(()), Some(object_bytes)) => objects.push(&key, object_bytes, body.into_data_stream()).await,
        (Ok(()), None) => Err(ObjectError::BadRequest("a content-length is needed")),
    };
    finish_put(timer, &key, length.unwrap_or_default(), response)
}

async fn read(
    objects: &Objects,
    key: &ObjectKey,
    headers: &HeaderMap,
    asker: &Asker,
) -> Result<(Wanted, Found), ObjectError> {
    refuse_too_long(key)?;
    let wanted = wanted(headers)?;
    Ok((wanted, objects.read(key, wanted, asker).await?))
}

async fn describe(
    objects: &Objects,
    key: &ObjectKey,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Response<Body>, ObjectError> {
    refuse_too_long(key)?;
    let wanted = wanted(headers)?;
    let asker = asker(headers, extensions);
    let (object_bytes, sources) = objects.object_bytes(key, &asker).await?;
    let range = wanted.within(object_bytes);
    let range = range.ok_or(ObjectError::RangeNotSatisfiable {
        object_bytes: Some(object_bytes),
    })?;
    let cache_status = sources.cache_status(asker.gets.so_far());
    let head = answer_head(key, wanted, range, object_bytes, cache_status);
    head.body(Body::empty())
        .map_err(|_| ObjectError::BadRequest("the key fits no header"))
}

/// Keys are remembered, and counted by their number: S3 has none that are longer.
fn refuse_too_long(key: &ObjectKey) -> Result<(), ObjectError> {
    if key.as_str().len() > KEY_BYTES_MAX {
        return Err(ObjectError::BadRequest("the key is longer than the 1024 bytes of S3's"));
    }
    Ok(())
}

fn asker(headers: &HeaderMap, extensions: &Extensions) -> Asker {
    let address = extensions.get::<ConnectInfo<SocketAddr>>();
    Asker::of(headers, address.map(|ConnectInfo(address)| address.ip()))
}

fn wanted(headers: &HeaderMap) -> Result<Wanted, ObjectError> {
    match headers.get(RANGE) {
        None => Ok(Wanted::Full),
        Some(value) => {
            let text = value
                .to_str()
                .map_err(|_| ObjectError::BadRequest("the range is not text"))?;
            range_header::parse(text).map_err(ObjectError::BadRequest)
        }
    }
}

fn answer_head(
    key: &ObjectKey,
    wanted: Wanted,
    range: ByteRange,
    object_bytes: u64,
    cache_status: String,
) -> axum::http::response::Builder {
    // Objects never change, so key and size name the bytes.
    let etag = format!("\"{:08x}-{object_bytes:x}\"", crc32c::crc32c(key.as_str().as_bytes()));
    let head = Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, range.len())
        .header(ACCEPT_RANGES, "bytes")
        .header(ETAG, etag)
        .header(CACHE_STATUS, cache_status);
    if wanted == Wanted::Full {
        return head.status(StatusCode::OK);
    }
    let last_inclusive = range.end - 1;
    let content_range = format!("bytes {}-{last_inclusive}/{object_bytes}", range.start);
    head.status(StatusCode::PARTIAL_CONTENT)
        .header(CONTENT_RANGE, content_range)
}

/// The answer, counted; a failure of S3 is logged here, where it stops being passed on.
fn finish(
    timer: RequestTimer,
    key: &ObjectKey,
    response: Result<Response<Body>, ObjectError>,
) -> axum::response::Response {
    if let Err(error @ ObjectError::Origin(_)) = &response {
        tracing::warn!(%error, object.key = %key, "the origin failed");
    }
    let response = response.unwrap_or_else(IntoResponse::into_response);
    let served = response.status().is_success();
    let body_bytes = if served {
        response.body().size_hint().exact().unwrap_or_default()
    } else {
        0
    };
    timer.answered(response.status().as_u16(), body_bytes);
    response
}

fn finish_put(
    timer: RequestTimer,
    key: &ObjectKey,
    object_bytes: u64,
    pushed: Result<(), ObjectError>,
) -> axum::response::Response {
    let taken = if pushed.is_ok() { object_bytes } else { 0 };
    if let Err(error) = &pushed {
        tracing::debug!(%error, object.key = %key, "push refused");
    }
    let response = pushed.map_or_else(IntoResponse::into_response, |()| StatusCode::NO_CONTENT.into_response());
    timer.answered(response.status().as_u16(), taken);
    response
}

/// Slices of pages as a body, without a copy.
struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    bytes_left: u64,
    _permit: OwnedSemaphorePermit,
}

impl From<Found> for Pieces {
    fn from(found: Found) -> Self {
        Self {
            pieces: found.pieces.into_iter(),
            bytes_left: found.range.len(),
            _permit: found.permit,
        }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.pieces.next();
        self.bytes_left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}
