//! An agent's request to commit its slots now. It brings the footers along, so that no object is read.

use commit::SlotFooter;
use commit::invoke::{CommitRequest, CommitRequestSlot, CommitResponse, CommitResponseSlot, SlotResult};
use metastore::decode_slot_footer;
use object_format::parse_slot_key;
use tokio::time::{Instant, timeout_at};
use tracing::error;
use types::ClusterId;

use crate::Context;
use crate::error::HandlerError;

/// Commits the slots of `request`; one answer per slot, in its order.
pub(crate) async fn commit(
    context: &Context,
    request: CommitRequest,
    deadline: Instant,
) -> Result<CommitResponse, HandlerError> {
    timeout_at(deadline, Box::pin(commit_all(context, request)))
        .await
        .map_err(|_| HandlerError::OutOfTime)?
}

async fn commit_all(context: &Context, request: CommitRequest) -> Result<CommitResponse, HandlerError> {
    let committer = context.committer().await?;
    let decoded: Vec<Result<SlotFooter, String>> = request
        .slots
        .iter()
        .map(|slot| decode(committer.cluster(), slot))
        .collect();
    let accepted = decoded.iter().flatten().cloned().collect();
    let results = committer.commit(accepted).await?;
    let answer = |(sent, decoded): (CommitRequestSlot, Result<SlotFooter, String>)| CommitResponseSlot {
        key: sent.key,
        result: match decoded {
            Ok(footer) => results[&footer.slot()].clone(),
            Err(reason) => SlotResult::Rejected(reason),
        },
    };
    let slots = request.slots.into_iter().zip(decoded).map(answer).collect();
    Ok(CommitResponse { slots })
}

fn decode(cluster: ClusterId, sent: &CommitRequestSlot) -> Result<SlotFooter, String> {
    let slot = parse_slot_key(sent.key.as_str()).map_err(|error| error.to_string());
    let footer = slot.and_then(|slot| {
        decode_slot_footer(cluster, slot, &sent.footer, sent.object_bytes).map_err(|error| error.to_string())
    });
    footer.inspect_err(|reason| error!(object.key = %sent.key, error = reason, "rejecting a slot of a commit request"))
}
