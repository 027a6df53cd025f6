//! The wire between a client and S3, with its latency and its faults: answers in S3's stead, closes connections, cuts bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use s3s::Body;
use s3s::service::S3Service;
use tokio::time::{Instant, sleep, sleep_until};

use super::S3Latency;
use super::faults::{Fate, RequestKind, S3Fault, S3Faults};

/// What lies between clients and S3.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) faults: Arc<S3Faults>,
    pub(super) latency: Arc<S3Latency>,
}

/// When the object of a PUT may be there, as its latency has it. Its body is taken in before.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotBefore(pub(super) Instant);

/// Returned to hyper, which then closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// Somebody wanted it so.
    #[error("the connection is closed on purpose")]
    OnPurpose,
    /// The client went away, or S3 itself failed.
    #[error("{0}")]
    Broken(String),
}

/// Headers first, then a part of the body, then the end: without a pause hyper would send none of it.
const PART_ARRIVES_WITHIN: Duration = Duration::from_millis(20);

/// Serves one request, or does to it what was drawn for it.
pub(super) async fn answer(
    wire: Wire,
    service: S3Service,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, NoAnswer> {
    let kind = kind_of(request.method(), request.uri().path());
    let fate = wire.faults.draw(kind);
    let due = Instant::now() + fate.before + wire.latency.draw(kind);
    if kind == RequestKind::Put {
        request.extensions_mut().insert(NotBefore(due));
        sleep(fate.before).await;
    } else {
        sleep_until(due).await;
    }
    let answered = match fate.fault {
        None | Some(S3Fault::Slow) => call(&service, request.map(Body::from)).await,
        Some(S3Fault::Fail) => received(request).await.map(|_| failure(fate.form)),
        Some(S3Fault::Throttle) => received(request)
            .await
            .map(|_| refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
        Some(S3Fault::Conflict) => {
            let conflict = refusal(StatusCode::CONFLICT, "ConditionalRequestConflict");
            received(request).await.map(|_| conflict)
        }
        Some(S3Fault::Reset) => Err(NoAnswer::OnPurpose),
        Some(S3Fault::Lost) => {
            call(&service, request.map(Body::from)).await?;
            Err(NoAnswer::OnPurpose)
        }
        Some(S3Fault::Late) => {
            let request = received(request).await?;
            tokio::spawn(async move {
                sleep(fate.late).await;
                if let Err(error) = call(&service, request).await {
                    tracing::debug!(%error, "a late request failed");
                }
            });
            Err(NoAnswer::OnPurpose)
        }
        Some(S3Fault::Partial) => cut(call(&service, request.map(Body::from)).await?, fate).await,
        Some(S3Fault::Outage) => {
            wire.faults.silence_is_over().await;
            Err(NoAnswer::OnPurpose)
        }
    };
    // Of a PUT that was not served.
    sleep_until(due).await;
    sleep(fate.after).await;
    answered
}

/// Path-style addresses: `/bucket/key`.
fn kind_of(method: &Method, path: &str) -> RequestKind {
    let has_key = path
        .trim_start_matches('/')
        .split_once('/')
        .is_some_and(|(_, key)| !key.is_empty());
    match (method, has_key) {
        (&Method::PUT, _) => RequestKind::Put,
        (&Method::HEAD, _) => RequestKind::Head,
        // POST is DeleteObjects here.
        (&Method::DELETE | &Method::POST, _) => RequestKind::Delete,
        (_, true) => RequestKind::Get,
        (_, false) => RequestKind::List,
    }
}

async fn call(service: &S3Service, request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
    service
        .call(request)
        .await
        .map_err(|error| NoAnswer::Broken(format!("{error:?}")))
}

/// The request with all of its body: S3 answers a PUT when it has read it.
async fn received(request: Request<Incoming>) -> Result<Request<Body>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| NoAnswer::Broken(error.to_string()))?;
    Ok(Request::from_parts(parts, Body::from(body.to_bytes())))
}

fn failure(form: u64) -> Response<Body> {
    if form.is_multiple_of(2) {
        refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
    } else {
        refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    let mut answer = Response::new(Body::from(xml));
    *answer.status_mut() = status;
    let xml_type = http::HeaderValue::from_static("application/xml");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, xml_type);
    answer
}

/// Promises the whole body and sends a part of it.
async fn cut(answer: Response<Body>, fate: Fate) -> Result<Response<Body>, NoAnswer> {
    let (mut parts, body) = answer.into_parts();
    // `Body` is a stream too.
    let body = http_body_util::BodyExt::collect(body)
        .await
        .map_err(|error| NoAnswer::Broken(error.to_string()))?
        .to_bytes();
    if body.is_empty() {
        return Err(NoAnswer::OnPurpose);
    }
    parts.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    let sent = usize::try_from(fate.form % body.len() as u64).unwrap_or_default();
    let part = stream::once(async move { Ok(Frame::data(body.slice(..sent))) });
    let end = stream::once(async {
        sleep(PART_ARRIVES_WITHIN).await;
        Err::<Frame<Bytes>, NoAnswer>(NoAnswer::OnPurpose)
    });
    let body = StreamBody::new(part.chain(end).boxed());
    Ok(Response::from_parts(parts, Body::http_body_unsync(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_method_and_path() {
        assert_eq!(kind_of(&Method::PUT, "/b/data/v1/x"), RequestKind::Put);
        assert_eq!(kind_of(&Method::GET, "/b/data"), RequestKind::Get);
        assert_eq!(kind_of(&Method::GET, "/b/"), RequestKind::List);
        assert_eq!(kind_of(&Method::GET, "/b"), RequestKind::List);
        assert_eq!(kind_of(&Method::POST, "/b"), RequestKind::Delete);
    }
}
