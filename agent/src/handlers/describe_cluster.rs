//! DescribeCluster (KIP-700, KIP-919, KIP-1073): the brokers, without any topic.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::wire::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, broker_id, operations, text};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::placement::AdvertisedBroker;

/// First version that says whom it wants to speak to.
const ENDPOINT_TYPE_SINCE: i16 = 1;
/// "Brokers", and what a request without an endpoint type means.
const BROKERS: i8 = 1;
/// "Controllers", of which there are none.
const CONTROLLERS: i8 = 2;

/// Answers with all live agents; none is ever fenced.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if let Some((error, message)) = refuse(version, request.endpoint_type) {
        return DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(message)))
            .with_controller_id(BrokerId(-1))
            .with_cluster_authorized_operations(OPERATIONS_NOT_ASKED);
    }
    let placement = broker.placement(client);
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(text(&broker.cluster.cluster_id().to_string()))
        .with_controller_id(broker_id(placement.controller()))
        .with_brokers(placement.brokers().iter().map(describe).collect())
        .with_cluster_authorized_operations(operations(
            request.include_cluster_authorized_operations,
            CLUSTER_OPERATIONS,
        ))
}

fn refuse(version: i16, endpoint_type: i8) -> Option<(ResponseError, &'static str)> {
    match endpoint_type {
        _ if version < ENDPOINT_TYPE_SINCE => None,
        BROKERS => None,
        CONTROLLERS => Some((
            ResponseError::MismatchedEndpointType,
            "This is an endpoint of brokers; there are no controllers to be described.",
        )),
        _ => Some((
            ResponseError::UnsupportedEndpointType,
            "There is no endpoint of this type.",
        )),
    }
}

fn describe(broker: &AdvertisedBroker) -> DescribeClusterBroker {
    DescribeClusterBroker::default()
        .with_broker_id(broker_id(broker.id))
        .with_host(text(&broker.host))
        .with_port(i32::from(broker.port))
        .with_rack(broker.rack.as_deref().map(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_cannot_be_described() {
        let error = |version, endpoint| refuse(version, endpoint).map(|(error, _)| error);
        assert_eq!((error(0, 0), error(1, BROKERS)), (None, None));
        assert_eq!(error(1, CONTROLLERS), Some(ResponseError::MismatchedEndpointType));
        assert_eq!(error(2, 9), Some(ResponseError::UnsupportedEndpointType));
    }
}
