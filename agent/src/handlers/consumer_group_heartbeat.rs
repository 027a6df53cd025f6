//! ConsumerGroupHeartbeat (KIP-848): a member of the new protocol joins, reports, leaves, and hears what it may use.

use std::sync::Arc;

use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;
use types::limits::CONSUMER_HEARTBEAT_INTERVAL_MS;
use types::{PartitionIndex, TopicId};

use super::groups::{ask, client_host};
use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;
use crate::error::of_group;
use crate::group::ask::{Ask, GroupError, Told};
use crate::group::consumer::assign::Assignor;
use crate::group::consumer::partitions::Partitions;
use crate::group::consumer::{Epoch, Heartbeat, HeartbeatAnswer, Refusal};

/// First version whose members draw their ids themselves (KIP-1082).
const OWN_ID_SINCE: i16 = 1;

/// "As before", in place of a timeout.
const UNCHANGED: i32 = -1;

/// Answers at once.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let heartbeat = match check(version, &request) {
        Ok(assignor) => heartbeat(client, &request, assignor),
        Err(refusal) => return refused(version, &request, &GroupError::Refused(refusal)),
    };
    match ask(broker, &request.group_id, Ask::ConsumerHeartbeat(Box::new(heartbeat))).await {
        Ok(Told::Heard(answer)) => answered(&answer),
        Ok(_) => refused(version, &request, &GroupError::Unavailable),
        Err(error) => refused(version, &request, &error),
    }
}

/// The answer to a member that is to do something else.
pub fn refused(
    _version: i16,
    _request: &ConsumerGroupHeartbeatRequest,
    error: &GroupError,
) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(of_group(error).code())
        .with_error_message(Some(text(&error.to_string())))
}

/// What can be said of a request without knowing its group, in Kafka's order.
fn check(version: i16, request: &ConsumerGroupHeartbeatRequest) -> Result<Option<Assignor>, Refusal> {
    let epoch = Epoch(request.member_epoch);
    let is_blank = |text: &StrBytes| text.trim().is_empty();
    let is_given_but_blank = |text: &Option<StrBytes>| text.as_ref().is_some_and(is_blank);
    let needs_id = version >= OWN_ID_SINCE || epoch != Epoch::JOIN;
    let wrong = match () {
        () if needs_id && is_blank(&request.member_id) => Some("a member id is missing"),
        () if is_blank(&request.group_id) => Some("a group id is missing"),
        () if is_given_but_blank(&request.instance_id) => Some("the instance id is empty"),
        () if is_given_but_blank(&request.rack_id) => Some("the rack id is empty"),
        () if epoch == Epoch::JOIN => wrong_with_join(request),
        () if epoch == Epoch::LEAVE_STATIC && request.instance_id.is_none() => {
            Some("only static members leave for a while")
        }
        () if epoch < Epoch::LEAVE_STATIC => Some("there is no such member epoch"),
        () => None,
    };
    if let Some(wrong) = wrong {
        return Err(Refusal::Invalid(wrong));
    }
    let assignor = request
        .server_assignor
        .as_ref()
        .map(|name| Assignor::named(name).ok_or_else(|| Refusal::UnsupportedAssignor(name.to_string())));
    assignor.transpose()
}

fn wrong_with_join(request: &ConsumerGroupHeartbeatRequest) -> Option<&'static str> {
    let owns_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    let subscribes = request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
    match () {
        () if request.rebalance_timeout_ms == UNCHANGED => Some("whoever joins says its rebalance timeout"),
        () if !owns_nothing => Some("whoever joins owns no partitions, and says so"),
        () if !subscribes => Some("whoever joins subscribes, if only to nothing"),
        () => None,
    }
}

fn heartbeat(client: &Client, request: &ConsumerGroupHeartbeatRequest, assignor: Option<Assignor>) -> Heartbeat {
    let names = request.subscribed_topic_names.as_ref();
    let owned = request.topic_partitions.as_ref().map(|topics| {
        let keys = topics.iter().flat_map(|topic| {
            let id = TopicId(topic.topic_id);
            topic.partitions.iter().map(move |index| (id, PartitionIndex(*index)))
        });
        keys.collect::<Partitions>()
    });
    Heartbeat {
        member_id: request.member_id.to_string(),
        epoch: Epoch(request.member_epoch),
        instance_id: request.instance_id.as_ref().map(ToString::to_string),
        rack_id: request.rack_id.as_ref().map(ToString::to_string),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|ms| *ms != UNCHANGED),
        names: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        regex: request.subscribed_topic_regex.as_ref().map(ToString::to_string),
        assignor,
        owned,
        client_id: client.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: client_host(client),
    }
}

fn answered(answer: &HeartbeatAnswer) -> ConsumerGroupHeartbeatResponse {
    let interval_ms = i32::try_from(CONSUMER_HEARTBEAT_INTERVAL_MS).unwrap_or(i32::MAX);
    // Whoever leaves need not come again.
    let interval_ms = if answer.epoch < Epoch::JOIN { 0 } else { interval_ms };
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(text(&answer.member_id)))
        .with_member_epoch(answer.epoch.0)
        .with_heartbeat_interval_ms(interval_ms)
        .with_assignment(answer.assignment.as_ref().map(assignment))
}

fn assignment(partitions: &Partitions) -> Assignment {
    let topics = partitions.by_topic().map(|(id, partitions)| {
        TopicPartitions::default()
            .with_topic_id(id.0)
            .with_partitions(partitions.iter().map(|partition| partition.0).collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::handlers::wire::encodes;

    fn join() -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text("g").into())
            .with_member_id(text("m"))
            .with_rebalance_timeout_ms(300_000)
            .with_subscribed_topic_names(Some(vec![text("t").into()]))
            .with_topic_partitions(Some(vec![]))
    }

    fn report() -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text("g").into())
            .with_member_id(text("m"))
            .with_member_epoch(1)
            .with_rebalance_timeout_ms(UNCHANGED)
    }

    #[test]
    fn requests_that_say_too_little_are_refused() {
        let wrong = [
            join().with_member_id(text(" ")),
            join().with_group_id(text("").into()),
            join().with_instance_id(Some(text(""))),
            join().with_rack_id(Some(text(""))),
            join().with_rebalance_timeout_ms(UNCHANGED),
            join().with_topic_partitions(None),
            join().with_subscribed_topic_names(None),
            report().with_member_epoch(-2),
            report().with_member_epoch(-3),
            report().with_member_id(text("")),
        ];
        for (place, request) in wrong.iter().enumerate() {
            assert!(matches!(check(1, request), Err(Refusal::Invalid(_))), "{place}");
        }
        assert_eq!(
            check(0, &join().with_member_id(text(""))),
            Ok(None),
            "the coordinator draws it"
        );
        assert_eq!(
            check(1, &report().with_server_assignor(Some(text("range")))),
            Ok(Some(Assignor::Range))
        );
        let sticky = report().with_server_assignor(Some(text("sticky")));
        assert_eq!(
            check(1, &sticky),
            Err(Refusal::UnsupportedAssignor("sticky".to_owned()))
        );
        assert_eq!(
            check(
                1,
                &join()
                    .with_subscribed_topic_names(None)
                    .with_subscribed_topic_regex(Some(text("")))
            ),
            Ok(None)
        );
    }

    #[test]
    fn what_is_left_out_is_as_before() {
        let client = Client::new(([10, 0, 0, 1], 9).into());
        let said = heartbeat(&client, &report(), None);
        assert_eq!(
            (said.rebalance_timeout_ms, &said.names, &said.owned),
            (None, &None, &None)
        );
        let said = heartbeat(&client, &join(), None);
        assert_eq!(
            (said.rebalance_timeout_ms, said.owned),
            (Some(300_000), Some(Partitions::default()))
        );
        assert_eq!(said.client_host, "/10.0.0.1");
    }

    #[test]
    fn answers_can_be_sent_in_every_version() {
        let partitions = [(TopicId(Uuid::from_u128(1)), PartitionIndex(2))].into_iter().collect();
        let answer = HeartbeatAnswer {
            member_id: "m".to_owned(),
            epoch: Epoch(3),
            assignment: Some(partitions),
        };
        for version in 0..=1 {
            encodes(&answered(&answer), version);
            encodes(&refused(version, &join(), &GroupError::NotFound), version);
        }
    }
}
