//! DeleteTopics (KIP-4, KIP-516): by name, and from version 6 on by id.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName as WireTopicName};
use kafka_protocol::protocol::StrBytes;
use metastore::{MetastoreError, TopicInfo};
use types::TopicId;
use uuid::Uuid;

use super::wire::{parse_topic_name, topic_name};
use crate::broker::Broker;
use crate::client::Client;
use crate::error::{Asked, of_metastore};

/// First version that names topics in `topics`, by name or id.
const STATES_SINCE: i16 = 6;

/// A topic as the request names it.
type Named = (Option<WireTopicName>, Uuid);

/// Deletes topics, each with its own result.
pub async fn handle(
    broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let named = named(version, request);
    let found = find(broker, named.keys()).await;
    let mut responses = Vec::with_capacity(named.len());
    for (topic, times) in &named {
        let result = match (check(topic, *times), &found) {
            (Err(error), _) => Err(error),
            (Ok(()), Ok(topics)) => delete(broker, topic, topics).await,
            (Ok(()), Err(error)) => Err(of_metastore(error, Asked::TopicChange)),
        };
        responses.push(answer(topic, result));
    }
    // So that this agent's clients see it at once; if this fails they see it within a second of Postgres's return.
    let _ = broker.cluster.renewed().await;
    DeleteTopicsResponse::default().with_responses(responses)
}

/// What the request names, and how often.
fn named(version: i16, request: DeleteTopicsRequest) -> BTreeMap<Named, usize> {
    let states = request
        .topics
        .into_iter()
        .map(|topic: DeleteTopicState| (topic.name, topic.topic_id));
    let names = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
    let all: Vec<Named> = if version >= STATES_SINCE {
        states.collect()
    } else {
        names.collect()
    };
    let mut named = BTreeMap::new();
    for topic in all {
        *named.entry(topic).or_default() += 1;
    }
    named
}

/// The topics that live now, under what the request calls them.
async fn find(
    broker: &Broker,
    named: impl Iterator<Item = &Named> + Clone,
) -> Result<BTreeMap<Named, TopicInfo>, MetastoreError> {
    let names: Vec<_> = named
        .clone()
        .filter_map(|(name, _)| parse_topic_name(name.as_ref()?).ok())
        .collect();
    let ids: Vec<_> = named.map(|(_, id)| TopicId(*id)).filter(|id| !id.0.is_nil()).collect();
    let by_name = broker.metastore.topics_by_name(&names).await?.into_iter();
    let by_id = broker.metastore.topics_by_id(&ids).await?.into_iter();
    let by_name = by_name.map(|topic| ((Some(topic_name(&topic.name)), Uuid::nil()), topic));
    Ok(by_name.chain(by_id.map(|topic| ((None, topic.id.0), topic))).collect())
}

async fn delete(
    broker: &Broker,
    topic: &Named,
    found: &BTreeMap<Named, TopicInfo>,
) -> Result<TopicInfo, ResponseError> {
    let unknown = unknown(topic);
    let info = found.get(topic).ok_or(unknown)?;
    match broker.metastore.delete_topic(info.id).await {
        Ok(true) => {
            tracing::info!(topic.name = %info.name, topic.id = %info.id, "topic deleted");
            Ok(info.clone())
        }
        Ok(false) => Err(unknown),
        Err(error) => {
            tracing::warn!(topic.name = %info.name, %error, "topic cannot be deleted");
            Err(of_metastore(&error, Asked::TopicChange))
        }
    }
}

fn check((name, id): &Named, times: usize) -> Result<(), ResponseError> {
    let in_one_way = name.is_some() == id.is_nil();
    if in_one_way && times == 1 {
        Ok(())
    } else {
        Err(ResponseError::InvalidRequest)
    }
}

fn unknown(topic: &Named) -> ResponseError {
    match topic {
        (Some(_), _) => ResponseError::UnknownTopicOrPartition,
        (None, _) => ResponseError::UnknownTopicId,
    }
}

fn answer((name, id): &Named, result: Result<TopicInfo, ResponseError>) -> DeletableTopicResult {
    match result {
        Ok(topic) => DeletableTopicResult::default()
            .with_name(Some(topic_name(&topic.name)))
            .with_topic_id(topic.id.0)
            .with_error_message(None),
        Err(error) => DeletableTopicResult::default()
            .with_name(name.clone())
            .with_topic_id(*id)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::{encodes, text};

    fn name(name: &str) -> Option<WireTopicName> {
        Some(text(name).into())
    }

    #[test]
    fn a_topic_is_named_once_and_in_one_way() {
        let id = Uuid::from_u128(1);
        let request =
            DeleteTopicsRequest::default().with_topic_names(["a", "b", "b"].map(|name| text(name).into()).into());
        let named = named(1, request);
        let judge = |topic: Named| check(&topic, named.get(&topic).copied().unwrap_or(1));
        assert_eq!(judge((name("a"), Uuid::nil())), Ok(()));
        assert_eq!(judge((name("b"), Uuid::nil())), Err(ResponseError::InvalidRequest));
        assert_eq!(judge((None, id)), Ok(()));
        assert_eq!(judge((name("c"), id)), Err(ResponseError::InvalidRequest));
        assert_eq!(judge((None, Uuid::nil())), Err(ResponseError::InvalidRequest));
    }

    #[test]
    fn a_result_can_be_sent_in_every_version() {
        let result = answer(&(name("a"), Uuid::nil()), Err(ResponseError::UnknownTopicOrPartition));
        let response = DeleteTopicsResponse::default().with_responses(vec![result]);
        (1..=6).for_each(|version| encodes(&response, version));
    }
}
