//! What the Java producer makes of an error of a partition (`Sender.completeBatch`, `TransactionManager.canRetry`). Where librdkafka
//! differs (`rd_kafka_handle_idempotent_Produce_error`) the producer asks for its manner.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};

/// How a producer reacts to what it was told of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is there.
    Acked,
    /// It is there; nobody knows where.
    AckedSomewhere,
    /// Send it again.
    Retry,
    /// Look for another agent, and send it again there.
    RetryElsewhere,
    /// The broker lacks what came before: retried while something before it is not decided, else the end of this producer id.
    SequenceRefused(ResponseError),
    /// The client gives the batch up and tells the application.
    Fatal(ResponseError),
}

/// The reaction to `code`.
pub fn reaction(code: i16) -> Reaction {
    use ResponseError::{
        CorruptMessage, DuplicateSequenceNumber, InvalidProducerEpoch, KafkaStorageError, LeaderNotAvailable,
        NotLeaderOrFollower, OutOfOrderSequenceNumber, RequestTimedOut, UnknownProducerId, UnknownTopicOrPartition,
    };
    match code.err() {
        None => Reaction::Acked,
        Some(DuplicateSequenceNumber) => Reaction::AckedSomewhere,
        Some(RequestTimedOut | CorruptMessage) => Reaction::Retry,
        Some(NotLeaderOrFollower | LeaderNotAvailable | KafkaStorageError | UnknownTopicOrPartition) => {
            Reaction::RetryElsewhere
        }
        Some(error @ (OutOfOrderSequenceNumber | UnknownProducerId | InvalidProducerEpoch)) => {
            Reaction::SequenceRefused(error)
        }
        Some(error) => Reaction::Fatal(error),
    }
}
