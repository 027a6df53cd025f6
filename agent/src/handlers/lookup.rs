//! Topics as requests name them.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use types::TopicName;

use crate::broker::Broker;
use crate::cluster::view::Topic;
use crate::error::{Asked, of_metastore};

/// The topic of that name. No topic has an illegal one.
pub(crate) async fn topic_named(broker: &Broker, name: &str, asked: Asked) -> Result<Arc<Topic>, ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let name = TopicName::new(name).map_err(|_| unknown)?;
    let found = broker.cluster.find_topic_by_name(&name).await;
    found.map_err(|error| of_metastore(&error, asked))?.ok_or(unknown)
}
