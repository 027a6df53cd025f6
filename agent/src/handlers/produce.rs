//! Produce.

use std::sync::Arc;

use futures::future::BoxFuture;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::broker::Broker;
use crate::client::Client;
use crate::frame::BytePermit;

/// What becomes of a Produce request.
pub enum ProduceReply {
    /// The answer, once its data are safe. Dropping the future gives up the answer only, never the data.
    Answer(BoxFuture<'static, ProduceResponse>),
    /// `acks=0`, all well: there is no answer.
    Nothing,
    /// `acks=0`, and something failed: closing the connection is the only way to tell.
    Close,
}

/// Enters the request's batches into the buffer before it returns, so that requests of one connection keep their order;
/// only the wait for the ack is left to the reply.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    _request: ProduceRequest,
    _permit: Arc<BytePermit>,
) -> ProduceReply {
    ProduceReply::Answer(Box::pin(async { ProduceResponse::default() }))
}
