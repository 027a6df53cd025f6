//! The consumer protocol that classic members carry inside JoinGroup and SyncGroup: subscriptions and assignments, which a broker
//! leaves alone, except here, where it does the assigning.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use types::{PartitionIndex, TopicId};

use super::partitions::Partitions;
use super::topics::Topics;
use crate::wire_shape::{self, RequestShape, tables};

/// The protocol type that consumers use.
pub const PROTOCOL_TYPE: &str = "consumer";

/// Newest version we know; a newer one begins with the same fields.
const VERSION_MAX: i16 = 3;

/// What a classic member subscribes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicSubscription {
    /// Topics by name.
    pub topics: BTreeSet<String>,
    /// Its rack.
    pub rack_id: Option<String>,
    /// What it uses.
    pub owned: Vec<(String, Vec<i32>)>,
}

/// What a classic member was assigned by its group's leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicAssignment {
    /// Partitions by topic name.
    pub partitions: Vec<(String, Vec<i32>)>,
    /// Something that only the leader's assignor understands.
    pub has_user_data: bool,
}

/// The bytes are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the embedded consumer protocol is malformed")]
pub struct Malformed;

/// Reads a subscription.
pub fn subscription(bytes: &Bytes) -> Result<ClassicSubscription, Malformed> {
    let read: ConsumerProtocolSubscription = decode(bytes, &tables::CONSUMER_PROTOCOL_SUBSCRIPTION)?;
    let owned = read.owned_partitions.into_iter();
    Ok(ClassicSubscription {
        topics: read.topics.iter().map(|topic| topic.to_string()).collect(),
        rack_id: read
            .rack_id
            .filter(|rack| !rack.is_empty())
            .map(|rack| rack.to_string()),
        owned: owned.map(|owned| (owned.topic.to_string(), owned.partitions)).collect(),
    })
}

/// Reads an assignment; empty bytes are an empty one.
pub fn assignment(bytes: &Bytes) -> Result<ClassicAssignment, Malformed> {
    if bytes.is_empty() {
        return Ok(ClassicAssignment::default());
    }
    let read: ConsumerProtocolAssignment = decode(bytes, &tables::CONSUMER_PROTOCOL_ASSIGNMENT)?;
    let assigned = read.assigned_partitions.into_iter();
    Ok(ClassicAssignment {
        partitions: assigned
            .map(|topic| (topic.topic.to_string(), topic.partitions))
            .collect(),
        has_user_data: read.user_data.is_some_and(|data| !data.is_empty()),
    })
}

/// Writes an assignment in the version in which the member wrote its `subscription`.
pub fn write_assignment(partitions: &Partitions, subscription: &Bytes, topics: &dyn Topics) -> Bytes {
    let version = version_of(subscription).unwrap_or_default();
    let named = partitions.by_topic().filter_map(|(id, partitions)| {
        let name = StrBytes::from_string(topics.name_of(id)?);
        let partitions = partitions.iter().map(|partition| partition.0).collect();
        Some(
            TopicPartition::default()
                .with_topic(name.into())
                .with_partitions(partitions),
        )
    });
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(named.collect());
    let mut bytes = BytesMut::from(version.to_be_bytes().as_slice());
    assignment
        .encode(&mut bytes, version)
        .expect("an assignment has the same fields in every version");
    bytes.freeze()
}

/// Partitions by topic id; those of topics that are not there are left out.
pub fn by_id(partitions: &[(String, Vec<i32>)], topics: &dyn Topics) -> Partitions {
    let mut ids: BTreeMap<&str, Option<TopicId>> = BTreeMap::new();
    let mut found = Partitions::default();
    for (name, indexes) in partitions {
        let id = ids
            .entry(name)
            .or_insert_with(|| topics.by_name(name).map(|topic| topic.id));
        if let Some(id) = *id {
            indexes
                .iter()
                .for_each(|index| found.insert((id, PartitionIndex(*index))));
        }
    }
    found
}

fn version_of(bytes: &Bytes) -> Result<i16, Malformed> {
    let version = bytes.first_chunk().map(|version| i16::from_be_bytes(*version));
    let version = version.filter(|version| *version >= 0).ok_or(Malformed)?;
    Ok(version.min(VERSION_MAX))
}

fn decode<M: Decodable>(bytes: &Bytes, shape: &RequestShape) -> Result<M, Malformed> {
    let version = version_of(bytes)?;
    let mut body = bytes.slice(2..);
    wire_shape::walk(shape, version, &body).map_err(|_| Malformed)?;
    M::decode(&mut body, version).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: i16, message: &impl Encodable) -> Bytes {
        let mut bytes = BytesMut::from(version.to_be_bytes().as_slice());
        message.encode(&mut bytes, version).unwrap();
        bytes.freeze()
    }

    #[test]
    fn subscriptions_of_every_version_are_read() {
        let topic = StrBytes::from_static_str("t");
        let owned = kafka_protocol::messages::consumer_protocol_subscription::TopicPartition::default()
            .with_topic(topic.clone().into())
            .with_partitions(vec![1, 2]);
        for version in 0..=VERSION_MAX {
            let mut message = ConsumerProtocolSubscription::default().with_topics(vec![topic.clone()]);
            if version >= 1 {
                message.owned_partitions = vec![owned.clone()];
            }
            if version >= 3 {
                message.rack_id = Some(StrBytes::from_static_str("r"));
            }
            let read = subscription(&written(version, &message)).unwrap();
            assert_eq!(read.topics, BTreeSet::from(["t".to_owned()]));
            let expected = if version >= 1 {
                vec![("t".to_owned(), vec![1, 2])]
            } else {
                vec![]
            };
            assert_eq!(read.owned, expected);
            assert_eq!(read.rack_id.is_some(), version >= 3);
        }
    }

    #[test]
    fn lying_counts_and_cut_bytes_are_refused() {
        let claims_two_billion = Bytes::from_static(&[0, 1, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(subscription(&claims_two_billion), Err(Malformed));
        assert_eq!(assignment(&claims_two_billion), Err(Malformed));
        let whole = written(1, &ConsumerProtocolSubscription::default());
        for end in 0..whole.len() {
            assert_eq!(subscription(&whole.slice(..end)), Err(Malformed), "{end}");
        }
        assert_eq!(assignment(&Bytes::new()), Ok(ClassicAssignment::default()));
    }
}
