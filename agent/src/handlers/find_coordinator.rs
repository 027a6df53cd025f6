//! FindCoordinator (KIP-699): which broker a consumer group talks to. All group state lies in Postgres, so any agent could
//! answer for any group; sending a group to one of them keeps its members' waits in one place.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::wire::{check_group_id, text};
use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::placement::Placement;

/// First version that asks for several keys at once.
const BATCH_SINCE: i16 = 4;

const KEY_TYPE_GROUP: i8 = 0;
const KEY_TYPE_TRANSACTION: i8 = 1;

/// Answers each key with its broker, or with why it has none.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let placement = broker.placement(client);
    if version >= BATCH_SINCE {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| find(&placement, request.key_type, key)).collect();
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = find(&placement, request.key_type, request.key);
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn find(placement: &Placement, key_type: i8, key: StrBytes) -> Coordinator {
    match check(key_type, &key) {
        Ok(()) => {
            let broker = placement.coordinator(&key);
            Coordinator::default()
                .with_key(key)
                .with_error_message(None)
                .with_node_id(BrokerId(broker.id.0))
                .with_host(text(&broker.host))
                .with_port(i32::from(broker.port))
        }
        Err((error, message)) => Coordinator::default()
            .with_key(key)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message)))
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    }
}

fn check(key_type: i8, key: &str) -> Result<(), (ResponseError, &'static str)> {
    match key_type {
        KEY_TYPE_GROUP if key.is_empty() => Err((ResponseError::InvalidGroupId, "The group id is empty.")),
        KEY_TYPE_GROUP => check_group_id(key).map_err(|error| (error, "The group id is too long or contains NUL.")),
        // Of all that says "no", this is what every client takes as final: librdkafka retries any other code here.
        KEY_TYPE_TRANSACTION => Err((
            ResponseError::TransactionalIdAuthorizationFailed,
            "Transactions are not supported by this cluster.",
        )),
        _ => Err((ResponseError::InvalidRequest, "The coordinator key type is unknown.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metastore::LiveAgent;
    use types::NodeId;

    fn found(key_type: i8, key: &'static str) -> Coordinator {
        let agent = LiveAgent {
            node_id: NodeId(4),
            host: "h".to_owned(),
            port: 9092,
            rack: String::new(),
            cache_url: String::new(),
            peer_address: String::new(),
            listeners: Vec::new(),
        };
        find(
            &Placement::new(&[agent], None),
            key_type,
            StrBytes::from_static_str(key),
        )
    }

    #[test]
    fn a_group_is_sent_to_a_live_agent() {
        let coordinator = found(KEY_TYPE_GROUP, "g");
        assert_eq!(
            (coordinator.error_code, coordinator.node_id.0, coordinator.port),
            (0, 4, 9092)
        );
        assert_eq!(coordinator.host.as_str(), "h");
    }

    #[test]
    fn what_has_no_coordinator_is_told_why() {
        let code = |key_type, key| found(key_type, key).error_code;
        assert_eq!(code(KEY_TYPE_GROUP, ""), ResponseError::InvalidGroupId.code());
        assert_eq!(code(KEY_TYPE_GROUP, "a\0b"), ResponseError::InvalidGroupId.code());
        assert_eq!(code(2, "share"), ResponseError::InvalidRequest.code());
        let transaction = found(KEY_TYPE_TRANSACTION, "tx");
        assert_eq!(
            transaction.error_code,
            ResponseError::TransactionalIdAuthorizationFailed.code()
        );
        assert!(transaction.error_message.unwrap().contains("not supported"));
    }
}
