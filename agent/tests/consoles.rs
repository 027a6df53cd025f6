//! What a console asks of a cluster and what has no meaning here: answered as a Kafka broker without it answers.

mod support;

use agent::handlers::{
    create_acls, delete_acls, describe_acls, describe_client_quotas, describe_producers, describe_transactions,
    describe_user_scram_credentials, elect_leaders, list_partition_reassignments, list_transactions,
    offset_for_leader_epoch,
};
use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeClientQuotasRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, DescribeUserScramCredentialsRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, ListTransactionsRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use support::{TestAgent, client, topic};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn assert_sendable(answer: &impl Encodable, versions: std::ops::RangeInclusive<i16>) {
    for version in versions {
        let sent = answer.encode(&mut BytesMut::new(), version);
        assert!(sent.is_ok(), "version {version}: {sent:?}");
    }
}

#[tokio::test]
async fn without_an_authorizer_every_wish_for_acls_is_refused_by_itself() {
    let agent = TestAgent::start().await;
    let disabled = ResponseError::SecurityDisabled.code();
    let described = describe_acls::handle(&agent.broker, &client(), 3, DescribeAclsRequest::default()).await;
    assert_eq!(described.error_code, disabled);
    assert_sendable(&described, 1..=3);
    let request = CreateAclsRequest::default().with_creations(vec![AclCreation::default(); 2]);
    let created = create_acls::handle(&agent.broker, &client(), 3, request).await;
    assert_eq!(
        created.results.iter().map(|it| it.error_code).collect::<Vec<_>>(),
        [disabled; 2]
    );
    assert_sendable(&created, 1..=3);
    let request = DeleteAclsRequest::default().with_filters(vec![DeleteAclsFilter::default(); 3]);
    let deleted = delete_acls::handle(&agent.broker, &client(), 3, request).await;
    assert_eq!(
        deleted
            .filter_results
            .iter()
            .map(|it| it.error_code)
            .collect::<Vec<_>>(),
        [disabled; 3]
    );
    assert_sendable(&deleted, 1..=3);
}

#[tokio::test]
async fn there_are_no_quotas_users_transactions_or_reassignments() {
    let agent = TestAgent::start().await;
    let (broker, client) = (&agent.broker, client());
    let quotas = describe_client_quotas::handle(broker, &client, 1, DescribeClientQuotasRequest::default()).await;
    assert_eq!((quotas.error_code, quotas.entries.as_ref().map(Vec::len)), (0, Some(0)));
    assert_sendable(&quotas, 0..=1);
    let request = DescribeUserScramCredentialsRequest::default().with_users(None);
    let users = describe_user_scram_credentials::handle(broker, &client, 0, request).await;
    assert!(users.results.is_empty() && users.error_code == 0);
    let user = UserName::default().with_name(text("somebody"));
    let request = DescribeUserScramCredentialsRequest::default().with_users(Some(vec![user]));
    let users = describe_user_scram_credentials::handle(broker, &client, 0, request).await;
    assert_eq!(users.results[0].error_code, ResponseError::ResourceNotFound.code());
    assert_sendable(&users, 0..=0);
    let request = ListTransactionsRequest::default().with_state_filters(vec![text("Ongoing"), text("Sleeping")]);
    let transactions = list_transactions::handle(broker, &client, 2, request).await;
    assert_eq!(transactions.unknown_state_filters, [text("Sleeping")]);
    assert!(transactions.transaction_states.is_empty());
    assert_sendable(&transactions, 0..=2);
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text("tx").into()]);
    let transactions = describe_transactions::handle(broker, &client, 0, request).await;
    let not_found = ResponseError::TransactionalIdNotFound.code();
    assert_eq!(transactions.transaction_states[0].error_code, not_found);
    let request = ListPartitionReassignmentsRequest::default();
    let reassignments = list_partition_reassignments::handle(broker, &client, 0, request).await;
    assert!(reassignments.topics.is_empty() && reassignments.error_code == 0);
}

#[tokio::test]
async fn an_election_is_never_needed_and_what_is_not_there_has_none() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    let named = |name: &str, partitions: &[i32]| {
        TopicPartitions::default()
            .with_topic(text(name).into())
            .with_partitions(partitions.to_vec())
    };
    let request =
        ElectLeadersRequest::default().with_topic_partitions(Some(vec![named("t", &[0, 7]), named("none", &[0])]));
    let elected = elect_leaders::handle(&agent.broker, &client(), 2, request).await;
    let results = elected
        .replica_election_results
        .iter()
        .flat_map(|topic| &topic.partition_result);
    let codes: Vec<_> = results.map(|partition| partition.error_code).collect();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes, [ResponseError::ElectionNotNeeded.code(), unknown, unknown]);
    assert_sendable(&elected, 0..=2);
    let all = ElectLeadersRequest::default().with_topic_partitions(None);
    let elected = elect_leaders::handle(&agent.broker, &client(), 2, all).await;
    assert!(elected.replica_election_results.is_empty() && elected.error_code == 0);
    let wrong = ElectLeadersRequest::default().with_election_type(9);
    let refused = elect_leaders::handle(&agent.broker, &client(), 2, wrong).await;
    assert_eq!(refused.error_code, ResponseError::InvalidRequest.code());
}

#[tokio::test]
async fn partitions_are_told_apart_from_those_that_are_not_there() {
    let agent = TestAgent::start().await;
    topic(&agent.broker.metastore, "t").await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let invalid = ResponseError::InvalidTopicException.code();
    let named = [("t", vec![0, 7, 0]), ("none", vec![0]), ("a b", vec![0])].map(|(name, indexes)| {
        TopicRequest::default()
            .with_name(text(name).into())
            .with_partition_indexes(indexes)
    });
    let request = DescribeProducersRequest::default().with_topics(named.into());
    let response = describe_producers::handle(&agent.broker, &client(), 0, request).await;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let codes: Vec<_> = partitions.map(|partition| partition.error_code).collect();
    assert_eq!(
        codes,
        [invalid, unknown, 0, unknown],
        "in order of names, each partition once"
    );
    let asked = [(0, -1), (0, 5), (7, -1)].map(|(partition, current)| {
        OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(0)
    });
    let topic = OffsetForLeaderTopic::default()
        .with_topic(text("t").into())
        .with_partitions(asked.into());
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    let response = offset_for_leader_epoch::handle(&agent.broker, &client(), 4, request).await;
    let ends = response.topics[0].partitions.iter();
    let ends: Vec<_> = ends
        .map(|end| (end.error_code, end.leader_epoch, end.end_offset))
        .collect();
    let too_new = ResponseError::UnknownLeaderEpoch.code();
    assert_eq!(ends, [(0, 0, 0), (too_new, -1, -1), (unknown, -1, -1)]);
    assert_sendable(&response, 2..=4);
}
