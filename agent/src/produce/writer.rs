//! The one owner of buffer and stream: takes batches in, seals objects, starts their PUTs, releases acks in slot order,
//! and moves to a new stream when a slot is lost.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon::Tasks;
use metrics::{counter, gauge, histogram};
use storage::ObjectStore;
use telemetry::TraceContext;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug_span, info, warn};
use types::{ClusterId, ContentId, Slot, StreamId};

use crate::costs::Costs;
use crate::fetch::read::CachePush;
use crate::metrics::{BUFFER_SECONDS, FENCED_STREAMS, OBJECT_BYTES, OBJECTS_SEALED, UNCOMMITTED_SLOTS};
use crate::produce::buffer::{Buffer, Entry, SealReason, SealRules};
use crate::produce::commit_watcher::{CommitWatcher, CommittedSlot};
use crate::produce::leave::{Left, Streams};
use crate::produce::object::seal;
use crate::produce::stream::{OpenStream, SlotDecision};
use crate::produce::uploader::{decide_slot, end_stream};

/// Requests on their way to the writer; their bytes are counted elsewhere.
const APPENDS_MAX: usize = 1024;
/// Most slots that are ours and not committed: seventeen minutes without Postgres at four objects a second. Then
/// nothing more is sealed, and producers are slowed by the byte permits.
const UNCOMMITTED_MAX: usize = 4096;
/// Most batches in those slots: each keeps some 400 bytes of what its producer waits for and of its footer.
const UNCOMMITTED_BATCHES_MAX: usize = 262_144;

/// What the writer works with.
#[derive(Debug)]
pub struct WriterDeps {
    /// Opens streams and leaves them.
    pub streams: Streams,
    /// S3.
    pub store: Arc<dyn ObjectStore>,
    /// The cluster written into every footer.
    pub cluster: ClusterId,
    /// When to seal.
    pub rules: SealRules,
    /// Most PUTs in flight.
    pub uploads_max: usize,
    /// Template of the watcher of each stream.
    pub watcher: CommitWatcher,
    /// Where objects go besides S3.
    pub push: Option<CachePush>,
    /// Where it is said what is paid for.
    pub costs: Arc<Costs>,
    /// How long a stop may take.
    pub stop: WriterStop,
    /// Where the watchers run, and the moves to a new stream.
    pub tasks: Tasks,
}

/// How long a stop of the writer may take.
#[derive(Clone, Copy, Debug)]
pub struct WriterStop {
    /// Until what is not stored or committed is given up, and its producers are told to send it again.
    pub settle: Duration,
    /// For the tombstone, and again for its commit.
    pub end_stream: Duration,
}

/// The way into the writer.
#[derive(Clone, Debug)]
pub struct WriterHandle(Sender<Vec<Entry>>);

/// The writer has stopped: the agent is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent is shutting down")]
pub struct Stopped;

impl WriterHandle {
    /// A handle, and the end at which the batches come out.
    pub fn channel() -> (Self, Receiver<Vec<Entry>>) {
        let (sender, appends) = mpsc::channel(APPENDS_MAX);
        (Self(sender), appends)
    }

    /// Hands over the batches of one request; they enter the buffer in the order of the calls.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<(), Stopped> {
        self.0.send(entries).await.map_err(|_| Stopped)
    }
}

/// Opens the first stream, then returns the handle and the writer's task body. The task ends after `shutdown`, when
/// all that was taken in is in S3 and the stream has its tombstone.
pub async fn start(deps: WriterDeps, shutdown: CancellationToken) -> (WriterHandle, impl Future<Output = ()>) {
    let (handle, appends) = WriterHandle::channel();
    let stream = deps.streams.open().await;
    let writer = Writer::new(deps, stream);
    (handle, writer.run(appends, shutdown))
}

struct Writer {
    deps: WriterDeps,
    buffer: Buffer,
    stream: OpenStream,
    uploads: JoinSet<(Slot, SlotDecision)>,
    /// The move to a new stream, while it is under way.
    leaving: Option<JoinHandle<Left>>,
    decided: Sender<commit::SlotFooter>,
    committed: Receiver<CommittedSlot>,
    watcher: JoinHandle<()>,
    /// While true, nothing is taken in.
    stuck: watch::Receiver<bool>,
}

impl Writer {
    fn new(deps: WriterDeps, stream: StreamId) -> Self {
        let (decided, committed, watcher) = watch_stream(&deps.watcher, &deps.tasks);
        let buffer = Buffer::new(deps.rules);
        let stream = OpenStream::new(stream);
        let stuck = deps.streams.stuck.subscribe();
        Self {
            deps,
            buffer,
            stream,
            uploads: JoinSet::new(),
            leaving: None,
            decided,
            committed,
            watcher,
            stuck,
        }
    }

    async fn run(mut self, mut appends: Receiver<Vec<Entry>>, shutdown: CancellationToken) {
        let mut stopping = false;
        let mut give_up_at = Instant::now();
        let mut open = true;
        loop {
            self.seal_what_is_due(stopping);
            if stopping && self.is_done(&appends) {
                break;
            }
            let deadline = self.deadline();
            tokio::select! {
                biased;
                Some(upload) = self.uploads.join_next() => self.on_decided(upload.expect("uploads do not panic")),
                Some(slot) = self.committed.recv() => self.on_committed(slot),
                left = async { self.leaving.as_mut().expect("guarded").await }, if self.leaving.is_some() => {
                    // Otherwise it failed, or everything is being ended at once.
                    let Ok(left) = left else { return };
                    self.on_left(left);
                }
                Ok(()) = self.stuck.changed() => self.give_up_if_stuck(),
                entries = appends.recv(), if open => match entries {
                    Some(entries) => self.take_in(entries),
                    None => open = false,
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
                () = sleep_until(give_up_at), if stopping => break,
                () = shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    give_up_at = Instant::now() + self.deps.stop.settle;
                    appends.close();
                    info!("writer is stopping: sealing and uploading what is buffered");
                }
            }
        }
        self.end().await;
    }

    fn take_in(&mut self, entries: Vec<Entry>) {
        if *self.stuck.borrow() {
            return;
        }
        let now = Instant::now();
        for entry in entries {
            self.buffer.push(entry, now);
        }
    }

    /// Drops what cannot be stored for who knows how long; dropped promises tell producers to send it again.
    fn give_up_if_stuck(&mut self) {
        if *self.stuck.borrow() {
            self.buffer.clear();
            self.stream.give_up_lost();
        }
    }

    fn may_seal(&self) -> bool {
        self.leaving.is_none()
            && self.stream.first_lost().is_none()
            && self.uploads.len() < self.deps.uploads_max
            && self.stream.uncommitted() < UNCOMMITTED_MAX
            && self.stream.uncommitted_batches() < UNCOMMITTED_BATCHES_MAX
    }

    /// When the next object is due; `None` while nothing is, or nothing may be sealed.
    fn deadline(&self) -> Option<Instant> {
        self.buffer.seal_at().filter(|_| self.may_seal()).map(|(at, _)| at)
    }

    fn seal_what_is_due(&mut self, stopping: bool) {
        while self.may_seal() {
            let Some((at, reason)) = self.buffer.seal_at() else {
                return;
            };
            let now = Instant::now();
            match (stopping, at <= now) {
                (true, _) => self.seal(SealReason::Stop, now),
                (false, true) => self.seal(reason, now),
                (false, false) => return,
            }
        }
    }

    fn seal(&mut self, reason: SealReason, now: Instant) {
        let waited = self.buffer.first_at().map(|at| now - at);
        let mut entries = self.buffer.take(now);
        let reason = match reason {
            // Not full, and yet not all of it: there was no more room in the footer.
            SealReason::Time if !self.buffer.is_empty() => SealReason::Footer,
            reason => reason,
        };
        let slot = self.stream.next_slot();
        let span = upload_span(slot, &entries);
        let object = seal(
            &mut entries,
            self.deps.cluster,
            slot,
            ContentId(self.deps.streams.entropy.uuid_v4()),
            TraceContext::of(&span),
        );
        counter!(OBJECTS_SEALED, "reason" => reason.label()).increment(1);
        histogram!(OBJECT_BYTES).record(object.bytes.len() as f64);
        histogram!(BUFFER_SECONDS).record(waited.unwrap_or_default());
        self.stream.begin(entries, object.footer.clone());
        let (store, entropy) = (Arc::clone(&self.deps.store), Arc::clone(&self.deps.streams.entropy));
        let (push, costs) = (self.deps.push.clone(), Arc::clone(&self.deps.costs));
        let upload = async move {
            let decision = decide_slot(store.as_ref(), entropy.as_ref(), &costs, object.clone()).await;
            if decision == SlotDecision::Ours {
                costs.event(&object.footer.footer);
                if let Some(push) = push {
                    push.push(object_format::slot_key(slot), object.bytes);
                }
            }
            (slot, decision)
        };
        self.uploads.spawn(upload.instrument(span));
    }

    fn on_decided(&mut self, (slot, decision): (Slot, SlotDecision)) {
        assert_eq!(
            slot.stream,
            self.stream.id(),
            "a stream is left only when none of its PUTs is under way"
        );
        for footer in self.stream.decided(slot.seq, decision) {
            self.watch(footer);
        }
        gauge!(UNCOMMITTED_SLOTS).set(self.stream.uncommitted() as f64);
        self.leave_if_lost();
    }

    /// Has the watcher see to the commit of a slot.
    fn watch(&self, footer: commit::SlotFooter) {
        // It takes slots until we drop the sender; if it is gone all the same, it failed and the process is ending.
        let given = self.decided.try_send(footer);
        assert!(
            !matches!(given, Err(TrySendError::Full(_))),
            "the commit watcher has room for every slot that may be uncommitted"
        );
    }

    fn on_committed(&mut self, slot: CommittedSlot) {
        if slot.slot.stream == self.stream.id() {
            self.stream.committed(slot.slot.seq, &slot.outcomes);
            gauge!(UNCOMMITTED_SLOTS).set(self.stream.uncommitted() as f64);
        }
    }

    /// Once no PUT is under way any more, the row is asked what became of the stream.
    fn leave_if_lost(&mut self) {
        let Some(lost) = self.stream.first_lost() else { return };
        if self.leaving.is_some() || self.stream.uploading() > 0 {
            return;
        }
        warn!(stream.id = %self.stream.id(), slot.seq = %lost, "slot lost, leaving the stream");
        counter!(FENCED_STREAMS).increment(1);
        let streams = self.deps.streams.clone();
        let (stream, from) = (self.stream.id(), self.stream.first_uncommitted());
        let leave = async move { streams.leave(stream, from, lost).await };
        self.leaving = Some(self.deps.tasks.spawn_core("leaving a stream", leave));
    }

    fn on_left(&mut self, Left { progress, next }: Left) {
        self.leaving = None;
        self.stream.give_up_strangers();
        let mut durable = Vec::new();
        for (seq, outcomes) in &progress.outcomes {
            // A slot below the end is part of the log, and it is ours: a stranger's object would have ended the stream.
            if progress.end_seq.is_none_or(|end| *seq < end) {
                durable.extend(self.stream.decided(*seq, SlotDecision::Ours));
                self.stream.committed(*seq, outcomes);
            }
        }
        let Some(next) = next else {
            // The tombstone took a key that merging had freed: the slot is ours, and so may be those behind it.
            for footer in durable
                .into_iter()
                .filter(|footer| footer.slot().seq >= progress.next_seq)
            {
                self.watch(footer);
            }
            self.leave_if_lost();
            return;
        };
        let left = std::mem::replace(&mut self.stream, OpenStream::new(next));
        self.watcher.abort();
        (self.decided, self.committed, self.watcher) = watch_stream(&self.deps.watcher, &self.deps.tasks);
        let lost = left.into_lost();
        warn!(stream.id = %next, batches = lost.len(), "lost batches are sent again on a new stream");
        self.buffer.push_front(lost, Instant::now());
        gauge!(UNCOMMITTED_SLOTS).set(self.stream.uncommitted() as f64);
    }

    /// Whether all that was taken in is decided, committed and told.
    fn is_done(&self, appends: &Receiver<Vec<Entry>>) -> bool {
        appends.is_empty() && self.buffer.is_empty() && self.leaving.is_none() && self.stream.uncommitted() == 0
    }

    /// Tells everybody who still waits to ask again, then ends the stream in S3 and in its row, so that the sweep has
    /// nothing to do. Where a slot is not decided there is no end to put: the slot could still become data behind it.
    async fn end(self) {
        let Self {
            deps, buffer, stream, ..
        } = self;
        self.watcher.abort();
        self.leaving.iter().for_each(JoinHandle::abort);
        let decided = stream.uploading() == 0 && stream.first_lost().is_none();
        let (slot, uncommitted) = (stream.next_slot(), stream.uncommitted());
        if uncommitted > 0 || !buffer.is_empty() {
            warn!(stream.id = %slot.stream, slots = uncommitted, decided, batches = buffer.len(), "stopping without");
        }
        // Whoever waits for one of these learns that its fate is not known.
        drop((buffer, stream, self.uploads));
        if !decided {
            warn!(stream.id = %slot.stream, "the stream's end is left to the sweep");
            return;
        }
        let put = end_stream(deps.store.as_ref(), deps.streams.entropy.as_ref(), deps.cluster, slot);
        let ended = async {
            let tombstone = timeout(deps.stop.end_stream, put).await.context("no answer from S3")?;
            let tombstone = tombstone.context("something else lies in its next slot")?;
            let commit = deps.watcher.committer.commit(vec![tombstone]);
            timeout(deps.stop.end_stream, commit)
                .await
                .context("no answer from Postgres")??;
            anyhow::Ok(())
        };
        match ended.await {
            Ok(()) => info!(stream.id = %slot.stream, "stream ended"),
            Err(error) => {
                let error = format!("{error:#}");
                warn!(stream.id = %slot.stream, error, "the stream's end is left to the sweep");
            }
        }
    }
}

/// From a sealed object to its decided slot, as part of the first traced request whose batches it holds.
fn upload_span(slot: Slot, entries: &[Entry]) -> Span {
    let span = debug_span!("upload", object.key = %object_format::slot_key(slot), batches = entries.len());
    telemetry::follow(&span, entries.iter().filter_map(|entry| entry.trace));
    span
}

fn watch_stream(
    template: &CommitWatcher,
    tasks: &Tasks,
) -> (Sender<commit::SlotFooter>, Receiver<CommittedSlot>, JoinHandle<()>) {
    let (decided, decided_receiver) = mpsc::channel(UNCOMMITTED_MAX);
    let (committed_sender, committed) = mpsc::channel(UNCOMMITTED_MAX);
    let watcher = tasks.spawn_core(
        "commit watcher",
        template.clone().run(decided_receiver, committed_sender),
    );
    (decided, committed, watcher)
}
