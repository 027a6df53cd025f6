//! What the handlers of groups share.

use futures::StreamExt;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::wire::check_group_id;
use crate::broker::Broker;
use crate::client::Client;
use crate::dispatch;
use crate::group::ask::{Ask, GroupError, Identity, Told};
use crate::group::relay::{Passed, marker};
use crate::group::tenure::Place;

/// Groups of one request that are asked at a time.
const AT_A_TIME: usize = 16;

/// A group's id that members may use.
pub(super) fn check_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() || check_group_id(group).is_err() {
        return Err(GroupError::InvalidGroupId);
    }
    Ok(())
}

/// Asks a group that is ours to answer for.
pub(super) async fn ask(broker: &Broker, group: &str, ask: Ask) -> Result<Told, GroupError> {
    check_id(group)?;
    broker.groups.ask(group, ask).await.map(|(_, told)| told)
}

/// Who a member says it is.
pub(super) fn identity(member_id: &StrBytes, instance_id: Option<&StrBytes>) -> Identity {
    Identity {
        member_id: member_id.to_string(),
        instance_id: instance_id.map(ToString::to_string),
    }
}

/// Where a client is, as Kafka writes it.
pub(super) fn client_host(client: &Client) -> String {
    format!("/{}", client.host())
}

/// Answers for each group of a request, in its order, a few at a time.
pub(super) async fn each<G, A, F: Future<Output = A>>(groups: Vec<G>, answer: impl Fn(G) -> F) -> Vec<A> {
    futures::stream::iter(groups.into_iter().map(answer))
        .buffered(AT_A_TIME)
        .collect()
        .await
}

/// Asks the agent that coordinates `group`, with a request for that group alone; `None`: that is us.
pub(super) async fn elsewhere<Q, R>(
    broker: &Broker,
    client: &Client,
    key: ApiKey,
    version: i16,
    group: &str,
    request: &Q,
) -> Option<Result<R, GroupError>>
where
    Q: Encodable,
    R: Decodable + HeaderVersion,
{
    if client.passed_on_for.is_some() {
        return None;
    }
    let Place::At(agent) = broker.groups.place(group) else {
        return None;
    };
    let api = dispatch::find(key as i16)?;
    let mut body = bytes::BytesMut::new();
    if request.encode(&mut body, version).is_err() {
        return Some(Err(GroupError::Contradiction));
    }
    let passed = Passed {
        api_key: key as i16,
        version,
        flexible: api.is_flexible(version),
        client_id: marker::mark(client.host(), client.client_id.as_deref()),
        body: body.freeze(),
    };
    let answered = broker.relay.pass(api.name, group, &agent, passed).await;
    Some(answered.and_then(|rest| decode(rest, version)))
}

fn decode<R: Decodable + HeaderVersion>(mut rest: bytes::Bytes, version: i16) -> Result<R, GroupError> {
    if R::header_version(version) >= 1 {
        // Its tagged fields, of which an agent sends none.
        let _ = rest.split_to(rest.len().min(1));
    }
    R::decode(&mut rest, version).map_err(|error| {
        tracing::warn!(%error, "another agent's answer does not decode");
        GroupError::Unavailable
    })
}
