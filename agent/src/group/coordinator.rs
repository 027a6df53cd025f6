//! The way to groups: finds a group's task, or starts it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use daemon::Tasks;
use metastore::{CoordinatorEpoch, Metastore};
use metrics::gauge;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use types::Entropy;

use super::ask::{Ask, GroupError};
use super::limits::{ASKED_MAX, COMMITS_MAX, GroupLimits};
use super::owner::{Answered, Asked, Heard, OwnerDeps, own};
use super::store::Store;
use super::tenure::{Place, Tenure};
use crate::cluster::view::ClusterView;
use crate::metrics::GROUPS;

/// How often a request that met a group's task at its end finds or starts the next one.
const ATTEMPTS: usize = 3;

type Inboxes = Mutex<BTreeMap<String, mpsc::Sender<Heard>>>;

/// All groups that this agent coordinates; cheap to clone.
#[derive(Clone, Debug)]
pub struct Coordinator {
    inboxes: Arc<Inboxes>,
    deps: OwnerDeps,
    cluster: Arc<ClusterView>,
    commits: Arc<Semaphore>,
    tasks: Tasks,
}

impl Coordinator {
    /// Groups are taken when they are first asked for; their tasks end with `tasks`.
    pub fn new(
        metastore: Metastore,
        cluster: Arc<ClusterView>,
        tenure: Tenure,
        limits: GroupLimits,
        entropy: Arc<dyn Entropy>,
        tasks: Tasks,
    ) -> Self {
        Self {
            inboxes: Arc::default(),
            deps: OwnerDeps {
                store: Store { metastore },
                tenure,
                limits: Arc::new(limits),
                entropy,
            },
            cluster,
            commits: Arc::new(Semaphore::new(COMMITS_MAX)),
            tasks,
        }
    }

    /// Who coordinates a group.
    pub fn place(&self, group: &str) -> Place {
        self.deps.tenure.place(group)
    }

    /// The settings of all groups.
    pub fn limits(&self) -> &GroupLimits {
        &self.deps.limits
    }

    /// Waits for its turn to write offsets; to be held meanwhile.
    pub async fn commit_turn(&self) -> SemaphorePermit<'_> {
        self.commits.acquire().await.expect("the semaphore is never closed")
    }

    /// Asks a group that this agent coordinates; the answer may take as long as a rebalance. Dropped, it asked all the same.
    pub async fn ask(&self, group: &str, ask: Ask) -> Answered {
        self.deps.tenure.check(group, Instant::now())?;
        let (answer, answered) = oneshot::channel();
        let mut asked = Asked { ask, answer };
        for _ in 0..ATTEMPTS {
            asked = match self.inbox(group) {
                // The permit first, so that a request that meets the end is still here to be asked again.
                Some(inbox) => match inbox.reserve_owned().await {
                    Ok(room) => {
                        room.send(Heard::Asked(asked));
                        return told(answered).await;
                    }
                    Err(_ended) => asked,
                },
                None => match self.start(group, Some(asked)) {
                    Ok(()) => return told(answered).await,
                    Err(asked) => asked.ok_or(GroupError::Unavailable)?,
                },
            };
        }
        Err(GroupError::Unavailable)
    }

    /// Takes a group whose coordinator is gone, so that its members' silence is noticed although nobody asks.
    pub fn look_after(&self, group: &str) {
        if self.deps.tenure.check(group, Instant::now()).is_ok() {
            // A task that is there already looks after it.
            let _ = self.start(group, None);
        }
    }

    /// The row did not take what was decided under `epoch`: the group's task finds out whether somebody else has the group by now.
    pub fn doubt(&self, group: &str, epoch: CoordinatorEpoch) {
        if let Some(inbox) = self.inbox(group) {
            // Where it is full there is more than one who will say so.
            let _ = inbox.try_send(Heard::Doubted(epoch));
        }
    }

    /// Whether a task holds the group, or is about to.
    pub fn holds(&self, group: &str) -> bool {
        self.inbox(group).is_some()
    }

    fn inbox(&self, group: &str) -> Option<mpsc::Sender<Heard>> {
        let inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.get(group).filter(|inbox| !inbox.is_closed()).cloned()
    }

    /// Starts a group's task; gives the request back if there is one by now.
    #[expect(
        clippy::result_large_err,
        reason = "what is given back is a request, to be asked again"
    )]
    fn start(&self, group: &str, first: Option<Asked>) -> Result<(), Option<Asked>> {
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if inboxes.get(group).is_some_and(|inbox| !inbox.is_closed()) {
            return Err(first);
        }
        let (inbox, receiver) = mpsc::channel(ASKED_MAX);
        inboxes.insert(group.to_owned(), inbox.clone());
        gauge!(GROUPS).increment(1);
        let registered = Registered {
            inboxes: Arc::clone(&self.inboxes),
            group: group.to_owned(),
            inbox: inbox.downgrade(),
        };
        let node = self.cluster.node_id();
        let owning = own(
            group.to_owned(),
            node,
            first,
            receiver,
            self.deps.clone(),
            self.tasks.shutdown().clone(),
        );
        self.tasks.spawn("consumer group", async move {
            let _registered = registered;
            owning.await;
        });
        Ok(())
    }
}

async fn told(answered: oneshot::Receiver<Answered>) -> Answered {
    // A task that ends without a word is one that was aborted.
    answered.await.unwrap_or(Err(GroupError::NotCoordinator))
}

/// A task's place in the register, given up however it ends.
struct Registered {
    inboxes: Arc<Inboxes>,
    group: String,
    inbox: mpsc::WeakSender<Heard>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        gauge!(GROUPS).decrement(1);
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = self.inbox.upgrade();
        let is_ours = |inbox: &mpsc::Sender<Heard>| ours.as_ref().is_some_and(|ours| ours.same_channel(inbox));
        if inboxes.get(&self.group).is_some_and(is_ours) {
            inboxes.remove(&self.group);
        }
    }
}
