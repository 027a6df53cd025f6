//! What a producer is told about a batch, and when.

use commit::BatchOutcome;
use tokio::sync::oneshot;

use crate::config::AckMode;

/// What a batch waits for before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckLevel {
    /// Its slot and every earlier slot of the stream are decided and ours.
    Durable,
    /// It is committed and readable.
    Committed,
}

/// What became of a batch. A sender dropped without a word means: not known, ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchAck {
    /// Safe in S3; its offset is not known yet.
    Durable,
    /// Decided for good.
    Committed(BatchOutcome),
}

/// The promise a batch carries through the write path; fulfilled at most once.
#[derive(Debug)]
pub struct PendingAck {
    level: AckLevel,
    sender: Option<oneshot::Sender<BatchAck>>,
}

impl AckLevel {
    /// Which level a batch needs. A batch with a producer id may still be refused by its commit, so it never is
    /// acknowledged before it, whatever the mode says (docs/ARCHITECTURE.md).
    pub fn of(mode: AckMode, acks: i16, has_producer_id: bool) -> Self {
        match (mode, acks) {
            _ if has_producer_id => Self::Committed,
            (AckMode::Durable, _) | (AckMode::Auto, 0 | 1) => Self::Durable,
            (AckMode::Committed | AckMode::Auto, _) => Self::Committed,
        }
    }
}

impl PendingAck {
    /// An ack that waits for `level`, and the end to wait at.
    pub fn new(level: AckLevel) -> (Self, oneshot::Receiver<BatchAck>) {
        let (sender, receiver) = oneshot::channel();
        let sender = Some(sender);
        (Self { level, sender }, receiver)
    }

    /// The batch is safe in S3, and so is everything before it.
    pub fn durable(&mut self) {
        if self.level == AckLevel::Durable {
            self.send(BatchAck::Durable);
        }
    }

    /// The batch's fate is decided.
    pub fn committed(&mut self, outcome: BatchOutcome) {
        self.send(BatchAck::Committed(outcome));
    }

    fn send(&mut self, ack: BatchAck) {
        if let Some(sender) = self.sender.take() {
            // The producer may have given up waiting: then nobody is there to be told.
            let _ = sender.send(ack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_with_a_producer_id_is_never_acked_before_its_commit() {
        for mode in [AckMode::Auto, AckMode::Durable, AckMode::Committed] {
            for acks in [-1, 1] {
                assert_eq!(AckLevel::of(mode, acks, true), AckLevel::Committed);
            }
        }
    }

    #[test]
    fn acks_decide_unless_a_mode_is_forced() {
        assert_eq!(AckLevel::of(AckMode::Auto, 1, false), AckLevel::Durable);
        assert_eq!(AckLevel::of(AckMode::Auto, -1, false), AckLevel::Committed);
        assert_eq!(AckLevel::of(AckMode::Durable, -1, false), AckLevel::Durable);
        assert_eq!(AckLevel::of(AckMode::Committed, 1, false), AckLevel::Committed);
    }
}
