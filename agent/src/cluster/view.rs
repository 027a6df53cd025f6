//! What this agent knows of its cluster: topics and live agents, read without waiting from one snapshot that a single
//! task renews every second.
//!
//! The snapshot may be old, and while Postgres is away it grows older, but it never misleads: what it lacks is looked
//! up in Postgres before anybody is told that it does not exist. All who miss something at one time wait for the same
//! renewal, and renewals keep a pause, so asking for what is not there costs Postgres the same however often it is done.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use metastore::{LiveAgent, Metastore, MetastoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use types::{ClusterId, NodeId, PartitionIndex, TopicId, TopicName};

use super::placements::Placements;

pub use metastore::TopicInfo as Topic;

/// How old a snapshot gets while Postgres answers.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// Least pause between two renewals, however many ask.
const RENEWAL_PAUSE: Duration = Duration::from_millis(25);

/// How long those who wait for a renewal are kept waiting.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(3);

/// After Postgres was away every lease has run out, until its agent has renewed it: so long the agents known before are
/// still taken for alive, or all clients would be sent to whoever renews first.
const RETURN_GRACE: Duration = Duration::from_secs(3);

/// Most who may wait for a renewal; the next one waits to be let in.
const WAITING_MAX: usize = 1024;

/// Topics and agents as of one moment.
#[derive(Clone, Debug)]
pub struct ClusterSnapshot {
    by_name: BTreeMap<TopicName, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
    agents: Vec<LiveAgent>,
    placements: Arc<Placements>,
}

impl ClusterSnapshot {
    fn new(topics: Vec<Topic>, mut agents: Vec<LiveAgent>, own: &LiveAgent) -> Self {
        // We are alive even while our lease is being renewed.
        add_missing(&mut agents, std::slice::from_ref(own));
        let topics: Vec<Arc<Topic>> = topics.into_iter().map(Arc::new).collect();
        Self {
            by_name: topics
                .iter()
                .map(|topic| (topic.name.clone(), Arc::clone(topic)))
                .collect(),
            by_id: topics.into_iter().map(|topic| (topic.id, topic)).collect(),
            agents,
            placements: Arc::default(),
        }
    }

    /// Whether the same is known as in `other`.
    fn is_like(&self, other: &Self) -> bool {
        self.agents == other.agents && self.by_name == other.by_name
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// The topic of that name, if it was there.
    pub fn topic_by_name(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic of that id, if it was there.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// Who leads what, as worked out for this snapshot.
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// Every live agent, ourselves among them.
    pub fn agents(&self) -> &[LiveAgent] {
        &self.agents
    }
}

type Renewed = Result<Arc<ClusterSnapshot>, MetastoreError>;
type Waiting = oneshot::Sender<Renewed>;

/// The cached view; one per agent.
#[derive(Debug)]
pub struct ClusterView {
    cluster_id: ClusterId,
    own: watch::Receiver<LiveAgent>,
    snapshot: watch::Receiver<Arc<ClusterSnapshot>>,
    read_at: watch::Receiver<Instant>,
    asking: mpsc::Sender<Waiting>,
}

/// Renews the view; to be run as a task.
#[derive(Debug)]
pub struct ViewRenewal {
    metastore: Metastore,
    own: watch::Receiver<LiveAgent>,
    snapshot: watch::Sender<Arc<ClusterSnapshot>>,
    read_at: watch::Sender<Instant>,
    asked: mpsc::Receiver<Waiting>,
    /// When Postgres last failed us.
    failed_at: Option<Instant>,
}

impl ClusterView {
    /// Loads the view for an agent that has its lease; `ViewRenewal::run` keeps it fresh.
    pub async fn load(
        metastore: Metastore,
        own: watch::Receiver<LiveAgent>,
    ) -> Result<(Arc<Self>, ViewRenewal), MetastoreError> {
        let cluster_id = metastore.cluster_id().await?;
        let (read_sender, read_at) = watch::channel(Instant::now());
        let first = read(&metastore, &own).await?;
        let (sender, snapshot) = watch::channel(Arc::new(first));
        let (asking, asked) = mpsc::channel(WAITING_MAX);
        let renewal = ViewRenewal {
            failed_at: None,
            metastore,
            own: own.clone(),
            snapshot: sender,
            read_at: read_sender,
            asked,
        };
        Ok((
            Arc::new(Self {
                cluster_id,
                own,
                snapshot,
                read_at,
                asking,
            }),
            renewal,
        ))
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The node id of this agent.
    pub fn node_id(&self) -> NodeId {
        self.own.borrow().node_id
    }

    /// This agent as others see it.
    pub fn own(&self) -> LiveAgent {
        self.own.borrow().clone()
    }

    /// The latest snapshot; never waits.
    pub fn snapshot(&self) -> Arc<ClusterSnapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Whether Postgres has said within `age` of `now` who lives, or that it is as it was.
    pub fn is_fresh(&self, age: Duration, now: Instant) -> bool {
        now.saturating_duration_since(*self.read_at.borrow()) < age
    }

    /// The latest snapshot, and word of every newer one.
    pub fn snapshots(&self) -> watch::Receiver<Arc<ClusterSnapshot>> {
        self.snapshot.clone()
    }

    /// Every live agent as of the latest snapshot.
    pub fn agents(&self) -> Vec<LiveAgent> {
        self.snapshot().agents.clone()
    }

    /// A snapshot read from Postgres after this was called.
    pub async fn renewed(&self) -> Result<Arc<ClusterSnapshot>, MetastoreError> {
        let stopped = || MetastoreError::Unavailable("the cluster view is no longer renewed".to_owned());
        let (answer, renewed) = oneshot::channel();
        self.asking.send(answer).await.map_err(|_| stopped())?;
        renewed.await.map_err(|_| stopped())?
    }

    /// A snapshot that `has` all the caller needs, if there is one: the latest, or else one that is read for it.
    /// Without an error, what the snapshot lacks does not exist.
    pub async fn with(&self, has: impl Fn(&ClusterSnapshot) -> bool) -> Result<Arc<ClusterSnapshot>, MetastoreError> {
        let latest = self.snapshot();
        if has(&latest) { Ok(latest) } else { self.renewed().await }
    }

    /// The topic of that name; `None`: Postgres said that there is none.
    pub async fn find_topic_by_name(&self, name: &TopicName) -> Result<Option<Arc<Topic>>, MetastoreError> {
        let snapshot = self.with(|snapshot| snapshot.topic_by_name(name).is_some()).await?;
        Ok(snapshot.topic_by_name(name).cloned())
    }

    /// The topic of that name as fresh as it has to be to have this partition, if there is one. A topic that we know is
    /// answered as we know it while Postgres is away.
    pub async fn find_topic_with(
        &self,
        topic: impl Fn(&ClusterSnapshot) -> Option<&Arc<Topic>>,
        partition: PartitionIndex,
    ) -> Result<Option<Arc<Topic>>, MetastoreError> {
        let has = |snapshot: &ClusterSnapshot| topic(snapshot).is_some_and(|topic| topic.has_partition(partition));
        match self.with(has).await {
            Ok(snapshot) => Ok(topic(&snapshot).cloned()),
            Err(error) => topic(&self.snapshot()).cloned().map(Some).ok_or(error),
        }
    }

    /// The topic of that id; `None`: Postgres said that there is none.
    pub async fn find_topic_by_id(&self, id: TopicId) -> Result<Option<Arc<Topic>>, MetastoreError> {
        let snapshot = self.with(|snapshot| snapshot.topic_by_id(id).is_some()).await?;
        Ok(snapshot.topic_by_id(id).cloned())
    }
}

impl ViewRenewal {
    /// Renews the view every second, and sooner when somebody asks, until `shutdown` or until nobody can ask any more.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(RENEWAL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reachable = true;
        loop {
            let mut waiting: Vec<Waiting> = Vec::new();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
                asked = self.asked.recv() => match asked {
                    Some(asked) => waiting.push(asked),
                    None => return,
                },
            }
            let started = Instant::now();
            // Everybody who asked before the read starts may take its answer.
            while let Ok(asked) = self.asked.try_recv() {
                waiting.push(asked);
            }
            let Some(renewed) = shutdown.run_until_cancelled(self.renew()).await else {
                return;
            };
            report(&mut reachable, renewed.as_ref().err());
            for answer in waiting {
                // Whoever went away does not need it.
                let _ = answer.send(renewed.clone());
            }
            sleep_until(started + RENEWAL_PAUSE).await;
        }
    }

    async fn renew(&mut self) -> Renewed {
        let asked_at = Instant::now();
        let late = |_| MetastoreError::Unavailable("no answer in time".to_owned());
        let read = timeout(RENEWAL_TIMEOUT, read(&self.metastore, &self.own)).await;
        let mut snapshot = match read.map_err(late).flatten() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.failed_at = Some(Instant::now());
                return Err(error);
            }
        };
        self.read_at.send_replace(asked_at);
        let since_failure = self.failed_at.map(|at| at.elapsed());
        keep_known(&mut snapshot.agents, &self.snapshot.borrow().agents, since_failure);
        let known = self.snapshot.borrow().clone();
        if snapshot.is_like(&known) {
            // With all that was worked out from it.
            return Ok(known);
        }
        let snapshot = Arc::new(snapshot);
        self.snapshot.send_replace(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

fn keep_known(agents: &mut Vec<LiveAgent>, known: &[LiveAgent], since_failure: Option<Duration>) {
    if since_failure.is_some_and(|since| since < RETURN_GRACE) {
        add_missing(agents, known);
    }
}

fn add_missing(agents: &mut Vec<LiveAgent>, others: &[LiveAgent]) {
    for other in others {
        if !agents.iter().any(|agent| agent.node_id == other.node_id) {
            agents.push(other.clone());
        }
    }
}

async fn read(metastore: &Metastore, own: &watch::Receiver<LiveAgent>) -> Result<ClusterSnapshot, MetastoreError> {
    let (topics, agents) = tokio::try_join!(metastore.topics(), metastore.live_agents())?;
    Ok(ClusterSnapshot::new(topics, agents, &own.borrow()))
}

fn report(reachable: &mut bool, error: Option<&MetastoreError>) {
    match error {
        Some(error) if *reachable => {
            tracing::warn!(%error, "topics and agents cannot be renewed; serving what we know")
        }
        None if !*reachable => tracing::info!("topics and agents are renewed again"),
        Some(_) | None => {}
    }
    *reachable = error.is_none();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(node_ids: &[i32]) -> Vec<LiveAgent> {
        let agent = |node_id: &i32| LiveAgent {
            node_id: NodeId(*node_id),
            host: format!("host-{node_id}"),
            port: 9092,
            rack: String::new(),
            cache_url: String::new(),
            peer_address: String::new(),
            listeners: Vec::new(),
        };
        node_ids.iter().map(agent).collect()
    }

    fn kept(fresh: &[i32], known: &[i32], since_failure: Option<Duration>) -> usize {
        let mut fresh = agents(fresh);
        keep_known(&mut fresh, &agents(known), since_failure);
        fresh.len()
    }

    #[test]
    fn agents_known_before_an_outage_are_kept_until_they_had_time_to_renew_their_leases() {
        assert_eq!(kept(&[1], &[1, 2, 3], Some(Duration::ZERO)), 3);
        assert_eq!(kept(&[1], &[1, 2, 3], Some(RETURN_GRACE)), 1);
        assert_eq!(kept(&[1], &[1, 2, 3], None), 1);
    }

    #[test]
    fn an_agent_always_knows_of_itself() {
        let own = agents(&[7]).remove(0);
        assert_eq!(
            ClusterSnapshot::new(vec![], vec![], &own).agents(),
            std::slice::from_ref(&own)
        );
        assert_eq!(ClusterSnapshot::new(vec![], agents(&[6, 7]), &own).agents().len(), 2);
    }
}
