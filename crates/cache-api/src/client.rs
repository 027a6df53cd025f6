//! Asks a sidecar for byte ranges, and hands it objects.
//!
//! The sidecar is an optimisation: every error is one after which the caller can ask S3. So its time limits are
//! short, and a sidecar that is gone is skipped (`breaker.rs`).

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_RANGE, RANGE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use telemetry::{TRACEPARENT, TraceContext};
use types::{ByteRange, ObjectKey};

use crate::CacheError;
use crate::breaker::Breaker;
use crate::contract::{
    CACHE_HEADER, CACHE_STATUS, CLIENT_HEADER, COLD, FORMER_OWNER_HEADER, LANE_HEADER, ONLY_IF_CACHED,
    REQUEST_BYTES_MAX, gets_of, object_path,
};

/// The sidecar is in the same task or zone, where a handshake takes well under a millisecond.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// A request as a whole. A hit takes a millisecond, a miss one S3 GET (tens of ms, rarely a second): what takes longer
/// is better asked of S3 itself.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// A read of what a sidecar of the zone has already: later than this it is better fetched.
const CACHED_TIMEOUT: Duration = Duration::from_secs(1);

/// Shorter than the sidecar's own limit would have to be for it to close a connection under a request.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Idle connections kept: as many fetches as one agent has under way at once.
const POOL_IDLE_MAX: usize = 64;

/// The client of one sidecar; clones of an `Arc` share its connections and its view of the sidecar's health.
#[derive(Debug)]
pub struct CacheClient {
    http: Client<HttpConnector, Full<Bytes>>,
    base: String,
    name: Option<HeaderValue>,
    breaker: Breaker,
}

/// What a read says beside key and range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadHints {
    /// Old data, which may take longer.
    pub cold: bool,
    /// The base URL of the sidecar that had the object until lately.
    pub former_owner: Option<String>,
}

/// A range as a sidecar served it.
#[derive(Debug)]
pub struct ServedRange {
    /// Exactly the bytes asked for, in one allocation that is the caller's to write to.
    pub bytes: BytesMut,
    /// GETs that S3 was sent for it.
    pub gets: u64,
}

/// What a sidecar has of a range.
#[derive(Debug)]
pub struct CachedRange {
    /// The bytes, up to the object's end at most.
    pub bytes: BytesMut,
    /// Size of the whole object.
    pub object_bytes: u64,
}

impl CacheClient {
    /// A client of the sidecar at `base_url`, such as `http://127.0.0.1:9080`; nothing is sent yet.
    pub fn new(base_url: &str) -> Result<Self, CacheError> {
        let wrong = |why: &str| CacheError::Protocol(format!("{base_url} is no sidecar's address: {why}"));
        let parsed: Uri = base_url.parse().map_err(|_| wrong("not a URL"))?;
        if parsed.scheme_str() != Some("http") || parsed.host().is_none() {
            return Err(wrong("expected http://host:port"));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .build(connector);
        Ok(Self {
            http,
            base: base_url.trim_end_matches('/').to_owned(),
            name: None,
            breaker: Breaker::default(),
        })
    }

    /// The same under a name of its own: clients of a sidecar take turns at S3.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            name: HeaderValue::from_str(name).ok(),
            ..self
        }
    }

    /// Exactly the bytes of `range`.
    pub async fn get_range(
        &self,
        key: &ObjectKey,
        range: ByteRange,
        hints: &ReadHints,
    ) -> Result<ServedRange, CacheError> {
        let mut request = self.ranged(key, range)?;
        if hints.cold {
            request = request.header(LANE_HEADER, COLD);
        }
        if let Some(url) = &hints.former_owner {
            request = request.header(FORMER_OWNER_HEADER, url);
        }
        self.guarded(REQUEST_TIMEOUT, async {
            let answer = self.partial(key, request).await?;
            let status = answer.headers().get(CACHE_STATUS);
            let gets = status.and_then(|status| status.to_str().ok()).map_or(0, gets_of);
            let bytes = gather(answer.into_body(), key, range).await?;
            Ok(ServedRange { bytes, gets })
        })
        .await
    }

    /// What the sidecar has of `range`, cut at the object's end; it does not ask S3.
    pub async fn get_if_cached(&self, key: &ObjectKey, range: ByteRange) -> Result<CachedRange, CacheError> {
        let request = self.ranged(key, range)?.header(CACHE_CONTROL, ONLY_IF_CACHED);
        self.guarded(CACHED_TIMEOUT, async {
            let answer = self.partial(key, request).await?;
            let (there, object_bytes) = content_range(&answer)
                .filter(|(there, _)| there.start == range.start && there.end <= range.end)
                .ok_or_else(|| CacheError::Protocol(format!("{key}: unusable content-range")))?;
            let bytes = gather(answer.into_body(), key, there).await?;
            Ok(CachedRange { bytes, object_bytes })
        })
        .await
    }

    /// Hands the sidecar a whole object that S3 has already, so that readers find it there. Best effort.
    pub async fn push(&self, key: &ObjectKey, body: Bytes) -> Result<(), CacheError> {
        let request = self.request(Method::PUT, key).body(Full::new(body));
        let request = request.map_err(|error| CacheError::Protocol(error.to_string()))?;
        self.guarded(REQUEST_TIMEOUT, async {
            let answer = self.send(request).await?;
            if answer.status().is_success() {
                return Ok(());
            }
            Err(refusal(answer.status(), key, answer.into_body()).await)
        })
        .await
    }

    fn request(&self, method: Method, key: &ObjectKey) -> http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{}", self.base, object_path(key)));
        let request = match TraceContext::current() {
            Some(trace) => request.header(TRACEPARENT, trace.to_traceparent()),
            None => request,
        };
        match &self.name {
            Some(name) => request.header(CLIENT_HEADER, name),
            None => request,
        }
    }

    fn ranged(&self, key: &ObjectKey, range: ByteRange) -> Result<http::request::Builder, CacheError> {
        if range.is_empty() || range.len() > REQUEST_BYTES_MAX {
            return Err(CacheError::RangeNotSatisfiable(format!(
                "{key} {range}: 1 to {REQUEST_BYTES_MAX} bytes"
            )));
        }
        Ok(self.request(Method::GET, key).header(RANGE, range.to_http()))
    }

    async fn partial(
        &self,
        key: &ObjectKey,
        request: http::request::Builder,
    ) -> Result<Response<Incoming>, CacheError> {
        let request = request.body(Full::default());
        let request = request.map_err(|error| CacheError::Protocol(error.to_string()))?;
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => Ok(answer),
            status => Err(refusal(status, key, answer.into_body()).await),
        }
    }

    /// Within the time limit, unless the sidecar is known to be gone; tells the breaker how it went.
    async fn guarded<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, CacheError>>,
    ) -> Result<T, CacheError> {
        if !self.breaker.admits(Instant::now()) {
            return Err(CacheError::Unavailable("skipped after failures in a row".to_owned()));
        }
        let in_time = tokio::time::timeout(limit, call).await;
        let result = in_time.unwrap_or_else(|_| Err(CacheError::Unavailable("no answer in time".to_owned())));
        match &result {
            Err(CacheError::Unavailable(_)) => self.breaker.failed(Instant::now()),
            Ok(_) | Err(_) => self.breaker.answered(),
        }
        result
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CacheError> {
        let answer = self.http.request(request).await.map_err(|error| unavailable(&error))?;
        if answer.headers().contains_key(CACHE_HEADER) {
            Ok(answer)
        } else {
            Err(CacheError::Protocol(format!(
                "{} has no {CACHE_HEADER} header: no sidecar",
                answer.status()
            )))
        }
    }
}

/// Copies the body once, into memory of the length asked for; anything but that length is refused.
async fn gather(mut body: Incoming, key: &ObjectKey, range: ByteRange) -> Result<BytesMut, CacheError> {
    let expected = usize::try_from(range.len()).map_err(|_| CacheError::Protocol("range exceeds memory".to_owned()))?;
    // A shorter object is cut at its end: known before a byte is read.
    if body
        .size_hint()
        .exact()
        .is_some_and(|announced| announced < range.len())
    {
        return Err(CacheError::RangeNotSatisfiable(format!(
            "{key} ends before {range} does"
        )));
    }
    let mut gathered = BytesMut::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| unavailable(&error))?.into_data() else {
            continue;
        };
        if gathered.len() + data.len() > expected {
            return Err(CacheError::Protocol(format!("{key}: more than {expected} bytes")));
        }
        gathered.extend_from_slice(&data);
    }
    if gathered.len() == expected {
        return Ok(gathered);
    }
    Err(CacheError::Protocol(format!(
        "{key}: {} bytes instead of {expected}",
        gathered.len()
    )))
}

/// `bytes 0-9/100`: which bytes, and the size of the whole object.
fn content_range(answer: &Response<Incoming>) -> Option<(ByteRange, u64)> {
    let value = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last_inclusive) = range.split_once('-')?;
    let end = last_inclusive.parse::<u64>().ok()?.checked_add(1)?;
    Some((ByteRange::new(first.parse().ok()?, end)?, size.parse().ok()?))
}

/// The error behind a status. Its text is only for the log, so a body that does not come is no further error.
async fn refusal(status: StatusCode, key: &ObjectKey, body: Incoming) -> CacheError {
    let limited = http_body_util::Limited::new(body, 4096).collect().await;
    let said = limited
        .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
        .unwrap_or_default();
    let message = format!("{key}: {status} {said}");
    match status {
        StatusCode::NOT_FOUND => CacheError::NotFound(message),
        StatusCode::RANGE_NOT_SATISFIABLE => CacheError::RangeNotSatisfiable(message),
        StatusCode::BAD_GATEWAY => CacheError::Origin(message),
        StatusCode::GATEWAY_TIMEOUT => CacheError::NotCached(message),
        StatusCode::SERVICE_UNAVAILABLE => CacheError::Unavailable(message),
        _ => CacheError::Protocol(message),
    }
}

/// hyper's own message says little; what it wraps says "connection refused".
fn unavailable(error: &dyn std::error::Error) -> CacheError {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    CacheError::Unavailable(message)
}
