//! The one table of APIs: key, versions, shape, handler. The ApiVersions answer is computed from it, so it cannot claim
//! what we do not serve, and a request that it does not list never reaches a decoder.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, FetchRequest, ProduceRequest};
use kafka_protocol::protocol::{Decodable, VersionRange};

use crate::answer::{self, Answer, EncodeError};
use crate::broker::Broker;
use crate::client::{Client, Software};
use crate::frame::BytePermit;
use crate::group::ask::GroupError;
use crate::group::relay::{Passed, marker};
use crate::group::tenure::Place;
use crate::handlers;
use crate::handlers::produce::ProduceReply;
use crate::memory::pool::Grant;
use crate::wire_shape::{self, RequestShape, WireError, tables};

/// One row of the table.
pub struct Api {
    /// Kafka's number of it.
    pub key: ApiKey,
    /// Its name in logs, metrics and documents.
    pub name: &'static str,
    /// What ApiVersions tells clients.
    pub advertised: VersionRange,
    /// First version that is served; below it the connection is closed.
    pub served_min: i16,
    /// What its request looks like on the wire.
    pub shape: &'static RequestShape,
    handler: Handler,
}

/// Ready to be called, with everything the handler needs.
pub struct Call {
    /// The agent.
    pub broker: Arc<Broker>,
    /// Who asks.
    pub client: Client,
    /// Version of the request.
    pub version: i16,
    /// What the answer has to repeat.
    pub correlation_id: i32,
    /// The request's body, a slice of its frame.
    pub body: Bytes,
    /// Keeps the frame's bytes counted.
    pub permit: Arc<BytePermit>,
}

/// What becomes of a request.
pub enum Reply {
    /// The answer.
    Ready(Answer),
    /// The answer to ApiVersions, by which the client also said what it is.
    Introduced(Software, Answer),
    /// The answer, later; the next request may be read meanwhile.
    Later(BoxFuture<'static, Result<Answer, EncodeError>>),
    /// Likewise, with the memory that its records hold.
    Fetched(BoxFuture<'static, Result<Fetched, EncodeError>>),
    /// No answer (`acks=0`).
    Nothing,
}

/// An answer to a Fetch, and what keeps its records counted until it has left.
pub type Fetched = (Answer, Option<Grant>);

/// Why a request gets no answer; its connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The walk found the bytes wrong.
    #[error("malformed request: {0}")]
    Malformed(#[from] WireError),
    /// The decoder found the values wrong.
    #[error("request does not decode: {0}")]
    Undecodable(String),
    /// An answer of ours cannot be encoded: a bug.
    #[error(transparent)]
    Unencodable(#[from] EncodeError),
    /// The client of a failed `acks=0` has no other way to learn of it.
    #[error("a request without acks failed")]
    FailedWithoutAcks,
}

type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, RequestError>>;

/// A handler that is done when it returns: its answer is complete before the next request of the connection is read.
macro_rules! ordinary {
    ($module:ident, $request:ident) => {
        |call| {
            Box::pin(async move {
                let request = decode::<kafka_protocol::messages::$request>(&call)?;
                let response = handlers::$module::handle(&call.broker, &call.client, call.version, request).await;
                Ok(Reply::Ready(answer::encode(
                    call.version,
                    call.correlation_id,
                    &response,
                )?))
            })
        }
    };
}

/// A request to one group: answered by the agent that coordinates it, in a group's own time.
macro_rules! grouped {
    ($key:ident, $module:ident, $request:ident) => {
        |call| {
            Box::pin(async move {
                let request = decode::<kafka_protocol::messages::$request>(&call)?;
                let later = async move {
                    let response = match pass_on(&call, ApiKey::$key, &request.group_id).await {
                        None => handlers::$module::handle(&call.broker, &call.client, call.version, request).await,
                        Some(Ok(rest)) => return answer::passed_back(call.correlation_id, rest),
                        Some(Err(error)) => handlers::$module::refused(call.version, &request, &error),
                    };
                    answer::encode(call.version, call.correlation_id, &response)
                };
                Ok(Reply::Later(later.boxed()))
            })
        }
    };
}

/// A request about groups, each of which may have another coordinator: answered when all of them are.
macro_rules! several_groups {
    ($module:ident, $request:ident) => {
        |call| {
            Box::pin(async move {
                let request = decode::<kafka_protocol::messages::$request>(&call)?;
                let later = async move {
                    let _counted = call.permit;
                    let response = handlers::$module::handle(&call.broker, &call.client, call.version, request).await;
                    answer::encode(call.version, call.correlation_id, &response)
                };
                Ok(Reply::Later(later.boxed()))
            })
        }
    };
}

macro_rules! api {
    ($key:ident, $advertised:expr, $served_min:expr, $shape:ident, $handler:expr) => {
        Api {
            key: ApiKey::$key,
            name: stringify!($key),
            advertised: VersionRange {
                min: *$advertised.start(),
                max: *$advertised.end(),
            },
            served_min: $served_min,
            shape: &tables::$shape,
            handler: $handler,
        }
    };
}

/// Every API we serve.
///
/// Produce 0-2 carry message formats that we refuse, and are advertised nevertheless: librdkafka turns compression off for a
/// broker whose range does not start at 0 (Kafka 4 does the same, KAFKA-18659).
pub const APIS: &[Api] = &[
    api!(Produce, 0..=13, 3, PRODUCE, produce),
    api!(Fetch, 4..=18, 4, FETCH, fetch),
    api!(
        ListOffsets,
        1..=10,
        1,
        LIST_OFFSETS,
        ordinary!(list_offsets, ListOffsetsRequest)
    ),
    api!(Metadata, 0..=13, 0, METADATA, ordinary!(metadata, MetadataRequest)),
    api!(
        OffsetCommit,
        2..=9,
        2,
        OFFSET_COMMIT,
        grouped!(OffsetCommit, offset_commit, OffsetCommitRequest)
    ),
    api!(
        OffsetFetch,
        1..=9,
        1,
        OFFSET_FETCH,
        several_groups!(offset_fetch, OffsetFetchRequest)
    ),
    api!(
        FindCoordinator,
        0..=6,
        0,
        FIND_COORDINATOR,
        ordinary!(find_coordinator, FindCoordinatorRequest)
    ),
    api!(
        JoinGroup,
        0..=9,
        0,
        JOIN_GROUP,
        grouped!(JoinGroup, join_group, JoinGroupRequest)
    ),
    api!(
        Heartbeat,
        0..=4,
        0,
        HEARTBEAT,
        grouped!(Heartbeat, heartbeat, HeartbeatRequest)
    ),
    api!(
        LeaveGroup,
        0..=5,
        0,
        LEAVE_GROUP,
        grouped!(LeaveGroup, leave_group, LeaveGroupRequest)
    ),
    api!(
        SyncGroup,
        0..=5,
        0,
        SYNC_GROUP,
        grouped!(SyncGroup, sync_group, SyncGroupRequest)
    ),
    api!(
        DescribeGroups,
        0..=6,
        0,
        DESCRIBE_GROUPS,
        several_groups!(describe_groups, DescribeGroupsRequest)
    ),
    api!(
        ListGroups,
        0..=5,
        0,
        LIST_GROUPS,
        ordinary!(list_groups, ListGroupsRequest)
    ),
    api!(ApiVersions, 0..=4, 0, API_VERSIONS, api_versions),
    api!(
        CreateTopics,
        2..=7,
        2,
        CREATE_TOPICS,
        ordinary!(create_topics, CreateTopicsRequest)
    ),
    api!(
        DeleteTopics,
        1..=6,
        1,
        DELETE_TOPICS,
        ordinary!(delete_topics, DeleteTopicsRequest)
    ),
    api!(
        DeleteRecords,
        0..=2,
        0,
        DELETE_RECORDS,
        ordinary!(delete_records, DeleteRecordsRequest)
    ),
    api!(
        InitProducerId,
        0..=5,
        0,
        INIT_PRODUCER_ID,
        ordinary!(init_producer_id, InitProducerIdRequest)
    ),
    api!(
        OffsetForLeaderEpoch,
        2..=4,
        2,
        OFFSET_FOR_LEADER_EPOCH,
        ordinary!(offset_for_leader_epoch, OffsetForLeaderEpochRequest)
    ),
    api!(
        DescribeAcls,
        1..=3,
        1,
        DESCRIBE_ACLS,
        ordinary!(describe_acls, DescribeAclsRequest)
    ),
    api!(
        CreateAcls,
        1..=3,
        1,
        CREATE_ACLS,
        ordinary!(create_acls, CreateAclsRequest)
    ),
    api!(
        DeleteAcls,
        1..=3,
        1,
        DELETE_ACLS,
        ordinary!(delete_acls, DeleteAclsRequest)
    ),
    api!(
        DescribeConfigs,
        1..=4,
        1,
        DESCRIBE_CONFIGS,
        ordinary!(describe_configs, DescribeConfigsRequest)
    ),
    api!(
        AlterConfigs,
        0..=2,
        0,
        ALTER_CONFIGS,
        ordinary!(alter_configs, AlterConfigsRequest)
    ),
    api!(
        DescribeLogDirs,
        1..=4,
        1,
        DESCRIBE_LOG_DIRS,
        ordinary!(describe_log_dirs, DescribeLogDirsRequest)
    ),
    api!(
        CreatePartitions,
        0..=3,
        0,
        CREATE_PARTITIONS,
        ordinary!(create_partitions, CreatePartitionsRequest)
    ),
    api!(
        DeleteGroups,
        0..=2,
        0,
        DELETE_GROUPS,
        several_groups!(delete_groups, DeleteGroupsRequest)
    ),
    api!(
        ElectLeaders,
        0..=2,
        0,
        ELECT_LEADERS,
        ordinary!(elect_leaders, ElectLeadersRequest)
    ),
    api!(
        IncrementalAlterConfigs,
        0..=1,
        0,
        INCREMENTAL_ALTER_CONFIGS,
        ordinary!(incremental_alter_configs, IncrementalAlterConfigsRequest)
    ),
    api!(
        AlterPartitionReassignments,
        0..=1,
        0,
        ALTER_PARTITION_REASSIGNMENTS,
        ordinary!(alter_partition_reassignments, AlterPartitionReassignmentsRequest)
    ),
    api!(
        ListPartitionReassignments,
        0..=0,
        0,
        LIST_PARTITION_REASSIGNMENTS,
        ordinary!(list_partition_reassignments, ListPartitionReassignmentsRequest)
    ),
    api!(
        OffsetDelete,
        0..=0,
        0,
        OFFSET_DELETE,
        grouped!(OffsetDelete, offset_delete, OffsetDeleteRequest)
    ),
    api!(
        DescribeClientQuotas,
        0..=1,
        0,
        DESCRIBE_CLIENT_QUOTAS,
        ordinary!(describe_client_quotas, DescribeClientQuotasRequest)
    ),
    api!(
        DescribeUserScramCredentials,
        0..=0,
        0,
        DESCRIBE_USER_SCRAM_CREDENTIALS,
        ordinary!(describe_user_scram_credentials, DescribeUserScramCredentialsRequest)
    ),
    api!(
        DescribeCluster,
        0..=2,
        0,
        DESCRIBE_CLUSTER,
        ordinary!(describe_cluster, DescribeClusterRequest)
    ),
    api!(
        DescribeProducers,
        0..=0,
        0,
        DESCRIBE_PRODUCERS,
        ordinary!(describe_producers, DescribeProducersRequest)
    ),
    api!(
        DescribeTransactions,
        0..=0,
        0,
        DESCRIBE_TRANSACTIONS,
        ordinary!(describe_transactions, DescribeTransactionsRequest)
    ),
    api!(
        ListTransactions,
        0..=2,
        0,
        LIST_TRANSACTIONS,
        ordinary!(list_transactions, ListTransactionsRequest)
    ),
    api!(
        ConsumerGroupHeartbeat,
        0..=1,
        0,
        CONSUMER_GROUP_HEARTBEAT,
        grouped!(
            ConsumerGroupHeartbeat,
            consumer_group_heartbeat,
            ConsumerGroupHeartbeatRequest
        )
    ),
    api!(
        ConsumerGroupDescribe,
        0..=1,
        0,
        CONSUMER_GROUP_DESCRIBE,
        several_groups!(consumer_group_describe, ConsumerGroupDescribeRequest)
    ),
    api!(
        ListConfigResources,
        0..=1,
        0,
        LIST_CONFIG_RESOURCES,
        ordinary!(list_config_resources, ListConfigResourcesRequest)
    ),
    api!(
        DescribeTopicPartitions,
        0..=0,
        0,
        DESCRIBE_TOPIC_PARTITIONS,
        ordinary!(describe_topic_partitions, DescribeTopicPartitionsRequest)
    ),
];

/// The row of an API key.
pub fn find(api_key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == api_key)
}

impl Api {
    /// Whether a request of this version is answered.
    pub fn serves(&self, version: i16) -> bool {
        (self.served_min..=self.advertised.max).contains(&version)
    }

    /// Whether a request of this version has a flexible header.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.shape.flexible_since
    }

    /// Walks, decodes and handles a request of a version that is served.
    pub async fn call(&self, call: Call) -> Result<Reply, RequestError> {
        wire_shape::walk(self.shape, call.version, &call.body)?;
        (self.handler)(call).await
    }
}

fn decode<R: Decodable>(call: &Call) -> Result<R, RequestError> {
    // Decoding from `Bytes` slices: record payloads stay in the frame's memory.
    R::decode(&mut call.body.clone(), call.version).map_err(|error| RequestError::Undecodable(error.to_string()))
}

/// Passes a request on if another agent coordinates its group; `None`: it is ours to answer. What was passed on to us once
/// is ours too, if only to be refused.
async fn pass_on(call: &Call, key: ApiKey, group: &str) -> Option<Result<Bytes, GroupError>> {
    if call.client.passed_on_for.is_some() {
        return None;
    }
    let Place::At(agent) = call.broker.groups.place(group) else {
        return None;
    };
    let api = find(key as i16)?;
    let request = Passed {
        api_key: key as i16,
        version: call.version,
        flexible: api.is_flexible(call.version),
        client_id: marker::mark(call.client.host(), call.client.client_id.as_deref()),
        body: call.body.clone(),
    };
    Some(call.broker.relay.pass(api.name, group, &agent, request).await)
}

fn api_versions(call: Call) -> BoxFuture<'static, Result<Reply, RequestError>> {
    async move {
        let request = decode::<ApiVersionsRequest>(&call)?;
        let software = Software::of(&request);
        let response = handlers::api_versions::handle(&call.broker, &call.client, call.version, request).await;
        let answer = answer::encode(call.version, call.correlation_id, &response)?;
        Ok(match software {
            Some(software) if response.error_code == 0 => Reply::Introduced(software, answer),
            _ => Reply::Ready(answer),
        })
    }
    .boxed()
}

fn produce(call: Call) -> BoxFuture<'static, Result<Reply, RequestError>> {
    async move {
        let request = decode::<ProduceRequest>(&call)?;
        let Call {
            broker,
            client,
            version,
            correlation_id,
            body,
            permit,
        } = call;
        drop(body);
        let reply = handlers::produce::handle(&broker, &client, version, request, permit).await;
        match reply {
            ProduceReply::Nothing => Ok(Reply::Nothing),
            ProduceReply::Close => Err(RequestError::FailedWithoutAcks),
            ProduceReply::Answer(response) => {
                let encode = move |response| answer::encode(version, correlation_id, &response);
                Ok(Reply::Later(response.map(encode).boxed()))
            }
        }
    }
    .boxed()
}

fn fetch(call: Call) -> BoxFuture<'static, Result<Reply, RequestError>> {
    async move {
        let request = decode::<FetchRequest>(&call)?;
        let later = async move {
            // What the request names is pieces of its frame.
            let _counted = call.permit;
            let (answer, memory) = handlers::fetch::handle(&call.broker, &call.client, call.version, request).await;
            let encoded = answer.encode(call.version, call.correlation_id);
            encoded.map(|answer| (answer, memory))
        };
        Ok(Reply::Fetched(later.boxed()))
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_served_can_be_decoded_and_encoded() {
        for api in APIS {
            let known = api.key.valid_versions();
            assert!(api.served_min >= known.min, "{}", api.name);
            assert!(api.advertised.max <= known.max, "{}", api.name);
            assert!(api.advertised.min <= api.served_min, "{}", api.name);
        }
    }

    #[test]
    fn flexible_versions_are_those_of_kafka_protocol() {
        for api in APIS {
            for version in api.served_min..=api.advertised.max {
                let header = api.key.request_header_version(version);
                assert_eq!(api.is_flexible(version), header == 2, "{} {version}", api.name);
            }
        }
    }

    #[test]
    fn rows_are_sorted_by_key_without_doubles() {
        assert!(APIS.is_sorted_by(|a, b| (a.key as i16) < (b.key as i16)));
    }
}
