//! The one task that holds a group: requests in, answers out, and between them the save that makes them true.
//!
//! Requests that have queued up are decided together and rest on one save. If it fails, everybody is told to come
//! back and the group is forgotten: whether the row was written is not known, and it is read again before anything else is
//! said. A heartbeat that changes nothing is answered from memory, but only while our lease is confirmed.
//!
//! Another agent may take the group all the same, for a second: one that has not heard yet that we are back. What it decided is in the row, and
//! the epoch that we hold is the row's no more, so offsets decided on here are refused there. Then the row is written even if nothing has
//! changed, which fails, and the group is read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use metastore::CoordinatorEpoch;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use types::{Entropy, NodeId};

use super::ask::{Ask, GroupError, Outbox, Ticket, Told};
use super::kind::Moment;
use super::limits::{BATCH_MAX, GroupLimits, IDLE_MAX};
use super::store::{Held, Store};
use super::tenure::Tenure;
use crate::metrics::{GROUP_SAVES, GROUPS_TAKEN};

/// What a request is told, and the epoch under which it was decided.
pub(super) type Answered = Result<(CoordinatorEpoch, Told), GroupError>;

/// A request on its way to a group's task.
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) answer: oneshot::Sender<Answered>,
}

/// What a group's task hears.
pub(super) enum Heard {
    /// A request.
    Asked(Asked),
    /// What was decided under this epoch was not taken by the row: perhaps somebody else has taken the group since.
    Doubted(CoordinatorEpoch),
}

/// What a group's task works with.
#[derive(Clone, Debug)]
pub(super) struct OwnerDeps {
    pub(super) store: Store,
    pub(super) tenure: Tenure,
    pub(super) limits: Arc<GroupLimits>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// A group's task.
pub(super) struct Owner {
    id: String,
    deps: OwnerDeps,
    held: Held,
    waiting: BTreeMap<Ticket, oneshot::Sender<Answered>>,
    next_ticket: u64,
    out: Outbox,
    /// The term of our lease in which the row was taken.
    term: u64,
    last_asked: Instant,
    /// Whether the row has to be written even if nothing has changed: it tells whether it is still ours.
    doubted: bool,
}

/// Why a task lets its group go.
enum End {
    /// Nobody needs it in memory.
    Idle,
    /// It was deleted.
    Deleted,
    /// We cannot answer for it.
    Lost(GroupError),
}

/// Takes the group and serves it until somebody else has it, or nobody needs it in memory. `first` says whether it may be created.
pub(super) async fn own(
    id: String,
    node: NodeId,
    first: Option<Asked>,
    mut inbox: mpsc::Receiver<Heard>,
    deps: OwnerDeps,
    shutdown: CancellationToken,
) {
    let term = deps.tenure.term();
    let create = first.as_ref().and_then(|asked| asked.ask.creates());
    let error = match deps.store.take(&id, node, create).await {
        Ok(Some(held)) => {
            counter!(GROUPS_TAKEN).increment(1);
            tracing::debug!(group.id = id, group.epoch = held.epoch.0, "group taken");
            let owner = Owner::new(id, deps, held, term);
            return owner.run(first, inbox, shutdown).await;
        }
        Ok(None) => {
            if let Some(asked) = first {
                let told = asked.ask.without_group();
                // Nobody is there to be told.
                let _ = asked.answer.send(told.map(|told| (CoordinatorEpoch(0), told)));
            }
            // Whoever queued behind may well create it, and tries again.
            GroupError::NotCoordinator
        }
        Err(error) => {
            tracing::warn!(group.id = id, %error, "group cannot be taken");
            if let Some(asked) = first {
                refuse(asked, &GroupError::Unavailable);
            }
            GroupError::Unavailable
        }
    };
    inbox.close();
    while let Some(heard) = inbox.recv().await {
        refuse_heard(heard, &error);
    }
}

fn refuse_heard(heard: Heard, error: &GroupError) {
    if let Heard::Asked(asked) = heard {
        refuse(asked, error);
    }
}

fn refuse(asked: Asked, error: &GroupError) {
    // A client that has gone need not be told.
    let _ = asked.answer.send(Err(error.clone()));
}

impl Owner {
    fn new(id: String, deps: OwnerDeps, held: Held, term: u64) -> Self {
        Self {
            id,
            deps,
            held,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            out: Outbox::default(),
            term,
            last_asked: Instant::now(),
            doubted: false,
        }
    }

    async fn run(mut self, first: Option<Asked>, mut inbox: mpsc::Receiver<Heard>, shutdown: CancellationToken) {
        let mut batch: Vec<Heard> = first.map(Heard::Asked).into_iter().collect();
        let end = loop {
            if let Err(end) = self.turn(std::mem::take(&mut batch)).await {
                break end;
            }
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break End::Lost(GroupError::NotCoordinator),
                count = inbox.recv_many(&mut batch, BATCH_MAX) => if count == 0 {
                    break End::Idle;
                },
                () = self.deps.tenure.changed() => {}
                () = sleep_until(deadline) => {}
            }
        };
        inbox.close();
        while let Ok(heard) = inbox.try_recv() {
            batch.push(heard);
        }
        self.let_go(end, batch);
    }

    /// Decides what has queued up and what time has brought, saves, and answers.
    async fn turn(&mut self, batch: Vec<Heard>) -> Result<(), End> {
        let now = Instant::now();
        if let Err(error) = self.check_tenure(now) {
            batch.into_iter().for_each(|heard| refuse_heard(heard, &error));
            return Err(End::Lost(error));
        }
        if !batch.is_empty() {
            self.last_asked = now;
        }
        let mut deletion = false;
        let mut batch = batch.into_iter();
        // What comes after a deletion is about another group, which its asker has to find first.
        while !deletion && let Some(heard) = batch.next() {
            let asked = match heard {
                Heard::Asked(asked) => asked,
                Heard::Doubted(epoch) => {
                    self.doubted |= epoch == self.held.epoch;
                    continue;
                }
            };
            let deletes = matches!(asked.ask, Ask::Delete);
            let ticket = self.park(asked.answer);
            let limits = Arc::clone(&self.deps.limits);
            let entropy = Arc::clone(&self.deps.entropy);
            let topics = self.deps.tenure.topics();
            let moment = Moment {
                now,
                limits: &limits,
                entropy: entropy.as_ref(),
                topics: topics.as_ref(),
            };
            self.held.group.handle(asked.ask, ticket, moment, &mut self.out);
            deletion = deletes && self.out.permits_deletion(ticket);
        }
        if deletion {
            return self.delete(batch.collect()).await;
        }
        self.tick(now);
        self.save().await?;
        self.answer();
        if self.held.group.is_idle() && self.waiting.is_empty() && now >= self.last_asked + IDLE_MAX {
            return Err(End::Idle);
        }
        Ok(())
    }

    /// Whether what we hold is still what the row says, as far as nobody but us can have changed it.
    fn check_tenure(&self, now: Instant) -> Result<(), GroupError> {
        self.deps.tenure.check(&self.id, now)?;
        if self.deps.tenure.term() == self.term {
            Ok(())
        } else {
            Err(GroupError::Unavailable)
        }
    }

    fn park(&mut self, answer: oneshot::Sender<Answered>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, answer);
        ticket
    }

    fn tick(&mut self, now: Instant) {
        let limits = Arc::clone(&self.deps.limits);
        let entropy = Arc::clone(&self.deps.entropy);
        let topics = self.deps.tenure.topics();
        let moment = Moment {
            now,
            limits: &limits,
            entropy: entropy.as_ref(),
            topics: topics.as_ref(),
        };
        self.held.group.tick(moment, &mut self.out);
    }

    async fn save(&mut self) -> Result<(), End> {
        if !self.held.group.take_changed() && !self.doubted {
            return Ok(());
        }
        self.doubted = false;
        counter!(GROUP_SAVES).increment(1);
        let state = self.held.group.state();
        let saved = self.deps.store.save(&self.id, self.held.epoch, &state).await;
        saved.map_err(End::Lost)
    }

    /// Deletes the group, of which somebody is about to be told that it may be.
    async fn delete(&mut self, unheard: Vec<Heard>) -> Result<(), End> {
        unheard
            .into_iter()
            .for_each(|heard| refuse_heard(heard, &GroupError::NotCoordinator));
        let deleted = self.deps.store.delete(&self.id, self.held.epoch).await;
        deleted.map_err(End::Lost)?;
        self.answer();
        Err(End::Deleted)
    }

    fn answer(&mut self) {
        let epoch = self.held.epoch;
        for (ticket, told) in self.out.take() {
            if let Some(answer) = self.waiting.remove(&ticket) {
                // A client that has gone need not be told.
                let _ = answer.send(told.map(|told| (epoch, told)));
            }
        }
    }

    /// When to look again although nobody asks.
    fn deadline(&self) -> Instant {
        let idle = self.last_asked.max(Instant::now()) + IDLE_MAX;
        let due = self.held.group.next_deadline().unwrap_or(idle);
        due.min(idle)
    }

    /// Tells everybody who still waits, and forgets the group.
    fn let_go(mut self, end: End, unheard: Vec<Heard>) {
        let error = match end {
            End::Idle | End::Deleted => GroupError::NotCoordinator,
            End::Lost(error) => error,
        };
        // What was decided but not saved is not told.
        self.out.take();
        for answer in std::mem::take(&mut self.waiting).into_values() {
            let _ = answer.send(Err(error.clone()));
        }
        unheard.into_iter().for_each(|heard| refuse_heard(heard, &error));
        tracing::debug!(group.id = self.id, group.epoch = self.held.epoch.0, "group let go");
    }
}
