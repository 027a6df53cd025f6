//! The one place that picks Kafka error codes.
//!
//! The matches have no wildcard arm, so that a new failure has to be thought about here.

use commit::BatchOutcome;
use kafka_protocol::error::ResponseError;
use metastore::MetastoreError;
use record_batch::BatchError;
use types::{Offset, TopicNameError};

use crate::configs::ConfigError;
use crate::fetch::search::SearchError;
use crate::fetch::sessions::SessionError;
use crate::group::ask::GroupError;
use crate::group::consumer::Refusal;
use crate::leader_epoch::EpochMismatch;

/// Why a batch is not taken. None of these enters the buffer, so a retry cannot duplicate anything.
pub fn of_batch(error: &BatchError) -> ResponseError {
    match error {
        // Clients retry this one: the bytes may have been damaged on the way.
        BatchError::Corrupt(_) => ResponseError::CorruptMessage,
        BatchError::UnsupportedMagic(_) => ResponseError::UnsupportedForMessageFormat,
        BatchError::TooLarge { .. } => ResponseError::MessageTooLarge,
        BatchError::Invalid(_) => ResponseError::InvalidRecord,
        BatchError::Transactional => ResponseError::InvalidTxnState,
        BatchError::UnsupportedCompression(_) => ResponseError::UnsupportedCompressionType,
        BatchError::InvalidTimestamp { .. } => ResponseError::InvalidTimestamp,
    }
}

/// Why a group does not do what it was asked.
pub fn of_group(error: &GroupError) -> ResponseError {
    match error {
        // Clients look for the coordinator again. What they asked may have happened; asked again it does no harm.
        GroupError::NotCoordinator => ResponseError::NotCoordinator,
        GroupError::Unavailable => ResponseError::CoordinatorNotAvailable,
        GroupError::NotFound => ResponseError::GroupIdNotFound,
        GroupError::InvalidGroupId => ResponseError::InvalidGroupId,
        GroupError::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
        // Members that hear this join as somebody new.
        GroupError::UnknownMember => ResponseError::UnknownMemberId,
        GroupError::MemberIdRequired(_) => ResponseError::MemberIdRequired,
        GroupError::FencedInstance => ResponseError::FencedInstanceId,
        GroupError::IllegalGeneration => ResponseError::IllegalGeneration,
        GroupError::Rebalancing => ResponseError::RebalanceInProgress,
        GroupError::InconsistentProtocol => ResponseError::InconsistentGroupProtocol,
        GroupError::Full => ResponseError::GroupMaxSizeReached,
        GroupError::NotEmpty => ResponseError::NonEmptyGroup,
        GroupError::Refused(refusal) => of_refusal(refusal),
        GroupError::Contradiction => ResponseError::UnknownServerError,
    }
}

/// What a member of a group of the new protocol is told.
fn of_refusal(refusal: &Refusal) -> ResponseError {
    match refusal {
        Refusal::Invalid(_) => ResponseError::InvalidRequest,
        Refusal::UnsupportedAssignor(_) => ResponseError::UnsupportedAssignor,
        Refusal::InvalidRegularExpression { .. } => ResponseError::InvalidRegularExpression,
        Refusal::NoSuchGroup(_) => ResponseError::GroupIdNotFound,
        Refusal::UnknownMember(_) => ResponseError::UnknownMemberId,
        Refusal::FencedEpoch { .. } => ResponseError::FencedMemberEpoch,
        // Clients ask for their epoch with the next heartbeat and commit again.
        Refusal::StaleEpoch { .. } => ResponseError::StaleMemberEpoch,
        Refusal::IllegalGeneration { .. } => ResponseError::IllegalGeneration,
        Refusal::UnreleasedInstance(_) => ResponseError::UnreleasedInstanceId,
        Refusal::FencedInstance(_) => ResponseError::FencedInstanceId,
        Refusal::Full(_) => ResponseError::GroupMaxSizeReached,
        Refusal::InconsistentProtocol => ResponseError::InconsistentGroupProtocol,
        Refusal::MemberIdRequired => ResponseError::MemberIdRequired,
        Refusal::RebalanceInProgress => ResponseError::RebalanceInProgress,
    }
}

/// Why a text is no topic name.
pub fn of_topic_name(error: &TopicNameError) -> ResponseError {
    match error {
        TopicNameError::Empty | TopicNameError::Dots | TopicNameError::TooLong | TopicNameError::IllegalCharacter => {
            ResponseError::InvalidTopicException
        }
    }
}

/// Why a topic's settings are not taken.
pub fn of_config(error: &ConfigError) -> ResponseError {
    match error {
        ConfigError::UnknownName(_)
        | ConfigError::NoValue(_)
        | ConfigError::InvalidValue { .. }
        | ConfigError::NoList { .. } => ResponseError::InvalidConfig,
    }
}

/// What Postgres was asked for when it failed: each kind of request has its own error that clients retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Topics, partitions, brokers: Metadata, or a topic looked up by Produce.
    Topics,
    /// A partition's offsets or index: Fetch, ListOffsets.
    Log,
    /// A group's coordinator, or its members.
    Group,
    /// What a group has committed.
    GroupOffsets,
    /// A new producer id.
    ProducerId,
    /// A topic created or deleted.
    TopicChange,
}

/// What a client is told when Postgres does not do what it was asked for.
pub fn of_metastore(error: &MetastoreError, asked: Asked) -> ResponseError {
    match error {
        MetastoreError::Unavailable(_) => retriable(asked),
        // Somebody has to act, but not the client: it retries until that is done.
        MetastoreError::AccessDenied(_) | MetastoreError::Schema(_) => retriable(asked),
        MetastoreError::Internal(_) => ResponseError::UnknownServerError,
    }
}

fn retriable(asked: Asked) -> ResponseError {
    match asked {
        Asked::Topics => ResponseError::LeaderNotAvailable,
        // Not LEADER_NOT_AVAILABLE: the Java consumer does not expect that from Fetch, and throws.
        Asked::Log => ResponseError::NotLeaderOrFollower,
        Asked::Group => ResponseError::CoordinatorNotAvailable,
        Asked::GroupOffsets => OFFSETS_UNAVAILABLE,
        // At worst an id is drawn that nobody uses.
        Asked::ProducerId => ResponseError::CoordinatorNotAvailable,
        // The change may have happened: a retry then hears that the topic exists, or does not.
        Asked::TopicChange => ResponseError::RequestTimedOut,
    }
}

/// Committed offsets that cannot be read now. Not COORDINATOR_NOT_AVAILABLE, which Kafka does not answer to OffsetFetch: Java's consumer
/// throws on it up to 3.8 (KAFKA-17279), and librdkafka does not ask again.
pub const OFFSETS_UNAVAILABLE: ResponseError = ResponseError::CoordinatorLoadInProgress;

/// Why a record could not be found by its time.
pub fn of_search(error: &SearchError) -> ResponseError {
    match error {
        SearchError::Metastore(error) => of_metastore(error, Asked::Log),
        SearchError::Storage(_) | SearchError::Records(_) => ResponseError::KafkaStorageError,
        SearchError::Broken(_) => ResponseError::UnknownServerError,
    }
}

/// A search by time that takes longer than the client waits.
pub const SEARCH_TIMED_OUT: ResponseError = ResponseError::RequestTimedOut;

/// Why a fetch session cannot go on: the client starts over with a full fetch.
pub fn of_session(error: SessionError) -> ResponseError {
    match error {
        SessionError::NotFound => ResponseError::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ResponseError::InvalidFetchSessionEpoch,
        SessionError::OtherTopicNames => ResponseError::FetchSessionTopicIdError,
    }
}

/// Why a client's idea of a partition's leader epoch is refused: it asks for Metadata and tries again.
pub fn of_leader_epoch(mismatch: EpochMismatch) -> ResponseError {
    match mismatch {
        EpochMismatch::Fenced => ResponseError::FencedLeaderEpoch,
        EpochMismatch::Unknown => ResponseError::UnknownLeaderEpoch,
    }
}

/// What a producer is told about a batch that was decided: where its records lie, or why they do not.
pub fn of_outcome(outcome: BatchOutcome) -> Result<Offset, ResponseError> {
    match outcome {
        BatchOutcome::Appended(offset) | BatchOutcome::Duplicate(offset) => Ok(offset),
        // Clients take it for success: the records are there, only where is forgotten.
        BatchOutcome::DuplicateForgotten => Err(ResponseError::DuplicateSequenceNumber),
        // Not in the log, but what comes before it may be on its way through another agent. OUT_OF_ORDER_SEQUENCE_NUMBER makes
        // librdkafka take a new epoch and send that again: both would be appended. So it is told to send the same again (ADR 0010).
        BatchOutcome::OutOfOrderSequence => Err(ResponseError::NotLeaderOrFollower),
        BatchOutcome::InvalidProducerEpoch => Err(ResponseError::InvalidProducerEpoch),
        // The producer starts over and sends it again: a duplicate if this was the retry of a batch whose state expired.
        BatchOutcome::UnknownProducerId => Err(ResponseError::UnknownProducerId),
        BatchOutcome::TopicDeleted => Err(ResponseError::UnknownTopicOrPartition),
    }
}

/// A batch whose ack did not come in time. A retry may duplicate it, unless its producer is idempotent: it may be in S3.
pub const ACK_TIMED_OUT: ResponseError = ResponseError::RequestTimedOut;

/// A batch that an agent refused, or dropped, because it is stopping; clients look for another agent and send it again.
/// A batch that was dropped may be in S3 all the same: a retry may duplicate it, unless its producer is idempotent.
pub const STOPPING: ResponseError = ResponseError::NotLeaderOrFollower;
