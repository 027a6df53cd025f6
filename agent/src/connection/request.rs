//! From a frame to its handler.

use std::sync::Arc;

use futures::FutureExt;
use metrics::counter;
use tracing::{Instrument, Span, debug_span};

use crate::answer::{self, EncodeError};
use crate::broker::Broker;
use crate::client::Client;
use crate::dispatch::{self, Api, Call, Reply, RequestError};
use crate::frame::Frame;
use crate::handlers::api_versions;
use crate::metrics::REQUESTS;
use crate::wire_shape::{RequestHeader, WireError};
use kafka_protocol::messages::ApiKey;

/// A request whose header has been read.
pub(super) struct Request {
    pub(super) api: &'static Api,
    version: i16,
    correlation_id: i32,
    body_start: usize,
}

/// A request that is not answered, and why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) api_key: i16,
    pub(super) api_version: i16,
    pub(super) why: Why,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    #[error("malformed header: {0}")]
    Header(#[from] WireError),
    #[error("unknown api key")]
    UnknownApi,
    #[error("unsupported version, {min} to {max} are served")]
    UnsupportedVersion { min: i16, max: i16 },
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Refused {
    pub(super) fn api_name(&self) -> &'static str {
        dispatch::find(self.api_key).map_or("unknown", |api| api.name)
    }
}

impl Request {
    /// Reads the header and tells `client` what it says of itself. A version of ApiVersions that we do not serve passes: it
    /// gets an answer (KIP-511), though its header cannot be read to the end.
    pub(super) fn parse(frame: &Frame, client: &mut Client) -> Result<Self, Refused> {
        let header = RequestHeader::fixed_part(&frame.bytes).map_err(|error| Refused {
            api_key: -1,
            api_version: -1,
            why: error.into(),
        })?;
        Self::parse_client(header, client).map_err(|why| Refused {
            api_key: header.api_key,
            api_version: header.api_version,
            why,
        })
    }

    fn parse_client(header: RequestHeader<'_>, client: &mut Client) -> Result<Self, Why> {
        let api = dispatch::find(header.api_key).ok_or(Why::UnknownApi)?;
        let mut request = Self {
            api,
            version: header.api_version,
            correlation_id: header.correlation_id,
            body_start: header.body_start,
        };
        if api.serves(request.version) {
            let header = header.with_client(api.is_flexible(request.version))?;
            client.identify(header.client_id);
            request.body_start = header.body_start;
        } else if api.key != ApiKey::ApiVersions {
            return Err(Why::UnsupportedVersion {
                min: api.served_min,
                max: api.advertised.max,
            });
        }
        Ok(request)
    }

    /// Calls the handler.
    pub(super) async fn handle(self, broker: &Arc<Broker>, client: &Client, frame: Frame) -> Result<Reply, Refused> {
        counter!(REQUESTS, "api" => self.api.name).increment(1);
        let span = debug_span!(
            "request",
            api = self.api.name,
            api.version = self.version,
            correlation_id = self.correlation_id
        );
        let reply = self.reply(broker, client, frame).instrument(span.clone()).await;
        let reply = reply.map(|reply| until_answered(reply, span));
        reply.map_err(|why| Refused {
            api_key: self.api.key as i16,
            api_version: self.version,
            why,
        })
    }

    async fn reply(&self, broker: &Arc<Broker>, client: &Client, frame: Frame) -> Result<Reply, Why> {
        if !self.api.serves(self.version) {
            return Ok(Reply::Ready(self.unsupported_version()?));
        }
        let call = Call {
            broker: Arc::clone(broker),
            client: client.clone(),
            version: self.version,
            correlation_id: self.correlation_id,
            body: frame.bytes.slice(self.body_start..),
            permit: frame.permit,
        };
        Ok(self.api.call(call).await?)
    }

    fn unsupported_version(&self) -> Result<answer::Answer, Why> {
        let encoded = answer::encode(0, self.correlation_id, &api_versions::unsupported());
        encoded.map_err(|error: EncodeError| RequestError::from(error).into())
    }
}

/// The same reply, in `span` until it is there. A span that nobody wants is not worth another box.
fn until_answered(reply: Reply, span: Span) -> Reply {
    match reply {
        Reply::Later(answer) if !span.is_disabled() => Reply::Later(answer.instrument(span).boxed()),
        Reply::Fetched(answer) if !span.is_disabled() => Reply::Fetched(answer.instrument(span).boxed()),
        reply => reply,
    }
}
