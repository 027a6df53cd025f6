//! InitProducerId (KIP-98): a producer id for an idempotent producer. Transactions are not supported.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId as WireProducerId};
use types::ProducerId;

use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, of_metastore};

/// Answers with an id nobody has had before and epoch 0. A producer that has an id already gets a new one too, as in
/// Kafka: without a transactional id there is nothing that would tie it to the old one.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    _version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    if let Some(error) = refusal(&request) {
        return failed(error);
    }
    match broker.metastore.allocate_producer_id().await {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(WireProducerId(id.0))
            .with_producer_epoch(0),
        Err(error) => {
            tracing::warn!(%error, "no producer id to be had");
            failed(of_metastore(&error, Asked::ProducerId))
        }
    }
}

fn refusal(request: &InitProducerIdRequest) -> Option<ResponseError> {
    match &request.transactional_id {
        Some(id) if id.is_empty() => Some(ResponseError::InvalidRequest),
        // Of all that says "no", this is what every client takes as final: librdkafka retries any other code here.
        Some(_) => Some(ResponseError::TransactionalIdAuthorizationFailed),
        None if (request.producer_id.0 < 0) != (request.producer_epoch < 0) => Some(ResponseError::InvalidRequest),
        None => None,
    }
}

fn failed(error: ResponseError) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(WireProducerId(ProducerId::NONE.0))
        .with_producer_epoch(-1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::{encodes, text};

    fn request(transactional_id: Option<&'static str>) -> InitProducerIdRequest {
        InitProducerIdRequest::default().with_transactional_id(transactional_id.map(|id| text(id).into()))
    }

    #[test]
    fn a_transactional_id_is_refused_for_good() {
        let error = refusal(&request(Some("tx"))).unwrap();
        assert!(!error.is_retriable(), "{error}");
        assert_eq!(refusal(&request(Some(""))), Some(ResponseError::InvalidRequest));
        assert_eq!(refusal(&request(None)), None);
    }

    #[test]
    fn an_id_without_an_epoch_is_refused() {
        assert_eq!(
            refusal(&request(None).with_producer_id(WireProducerId(7))),
            Some(ResponseError::InvalidRequest)
        );
        assert_eq!(
            refusal(&request(None).with_producer_id(WireProducerId(7)).with_producer_epoch(1)),
            None
        );
    }

    #[test]
    fn a_failure_can_be_sent_in_every_version() {
        (0..=5).for_each(|version| encodes(&failed(ResponseError::InvalidRequest), version));
    }
}
