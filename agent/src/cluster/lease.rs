//! This agent's lease: taken before it serves, renewed by one task, given back at the end. For liveness only: an agent
//! without its lease is not sent any new clients, and its stream may be ended by the sweep; no data depends on it.

use std::time::Duration;

use daemon::Condition;
use metastore::{LeaseError, LiveAgent, Metastore, MetastoreError, NewAgent};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::{NodeId, StreamId};

/// How long a lease lives and how often it is renewed.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTimes {
    /// Without a renewal an agent is dead after this.
    pub ttl: Duration,
    /// Pause between two renewals.
    pub heartbeat: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
        }
    }
}

impl LeaseTimes {
    fn ttl_ms(self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A lease that we hold, until somebody else does.
#[derive(Debug)]
pub struct Lease {
    metastore: Metastore,
    /// Whether any node id will do.
    auto: bool,
    wanted: NewAgent,
    times: LeaseTimes,
    own: watch::Sender<LiveAgent>,
    confirmed: watch::Sender<Confirmation>,
}

/// How certain it is that a lease is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// When the last renewal that succeeded was begun: for the TTL from then on no other agent sees us dead. `None`: another one has
    /// our node id.
    pub at: Option<Instant>,
    /// Grows each time the lease may have run out before it was renewed.
    pub term: u64,
}

/// How the last heartbeat went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    Held,
    Lost,
    Unreachable,
}

impl Lease {
    /// Takes a lease. A node id that an agent with our own address has is most likely our predecessor's, which was
    /// killed: its lease runs out within one TTL, for which this waits; anybody else's is refused at once.
    pub async fn take(metastore: Metastore, wanted: NewAgent, times: LeaseTimes) -> Result<Self, LeaseError> {
        let deadline = Instant::now() + times.ttl * 2;
        let mut waiting = false;
        let (node_id, begun) = loop {
            let begun = Instant::now();
            match metastore.take_lease(&wanted, times.ttl_ms()).await {
                Ok(node_id) => break (node_id, begun),
                Err(LeaseError::Taken(by)) if is_predecessor(&by, &wanted) && Instant::now() < deadline => {
                    if !waiting {
                        tracing::info!(
                            node.id = by.node_id.0,
                            "waiting for the lease of our predecessor to run out"
                        );
                        waiting = true;
                    }
                    sleep(times.heartbeat).await;
                }
                Err(refused) => return Err(refused),
            }
        };
        let (own, _) = watch::channel(live_agent(&wanted, node_id));
        let auto = wanted.node_id.is_none();
        Ok(Self {
            metastore,
            auto,
            wanted,
            times,
            own,
            confirmed: watch::Sender::new(Confirmation {
                at: Some(begun),
                term: 0,
            }),
        })
    }

    /// The node id we hold now.
    pub fn node_id(&self) -> NodeId {
        self.own.borrow().node_id
    }

    /// How clients are shown this agent; changes when another node id has to be taken.
    pub fn own(&self) -> watch::Receiver<LiveAgent> {
        self.own.subscribe()
    }

    /// How certain it is that the lease is held.
    pub fn confirmed(&self) -> watch::Receiver<Confirmation> {
        self.confirmed.subscribe()
    }

    /// Renews the lease until `shutdown`, then gives it back. Names the open stream, at once when it changes;
    /// `condition` says whether the lease is ours. A Postgres that cannot be reached is no reason against serving.
    pub async fn keep(
        self,
        mut stream: watch::Receiver<Option<StreamId>>,
        condition: Condition,
        shutdown: CancellationToken,
    ) {
        let mut ticks = interval(self.times.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Beat::Held;
        condition.met();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
                Ok(()) = stream.changed() => {}
            }
            let open = *stream.borrow_and_update();
            let begun = Instant::now();
            let Some(beat) = shutdown.run_until_cancelled(self.beat(open, last)).await else {
                break;
            };
            self.confirm(beat, begun);
            self.report(last, beat, &condition);
            last = beat;
        }
        self.release().await;
    }

    fn confirm(&self, beat: Beat, begun: Instant) {
        let now = Instant::now();
        let ttl = self.times.ttl;
        match beat {
            Beat::Held => self.confirmed.send_modify(|confirmed| {
                // Counted to when its answer came: the renewal may have reached Postgres at any time until then.
                let gapless = confirmed.at.is_some_and(|at| now < at + ttl);
                confirmed.term += u64::from(!gapless);
                confirmed.at = Some(begun);
            }),
            Beat::Lost => self.confirmed.send_modify(|confirmed| confirmed.at = None),
            Beat::Unreachable => {}
        }
    }

    async fn beat(&self, stream: Option<StreamId>, last: Beat) -> Beat {
        let attempt = async {
            if last == Beat::Lost {
                self.take_again(stream).await
            } else {
                self.renew(stream).await
            }
        };
        match timeout(self.times.ttl, attempt).await {
            Ok(Ok(true)) => Beat::Held,
            Ok(Ok(false)) => Beat::Lost,
            Ok(Err(error)) => {
                tracing::debug!(%error, "heartbeat failed");
                // Whether a lost lease is still lost is not known either, but it has to be taken, not renewed.
                if last == Beat::Lost {
                    Beat::Lost
                } else {
                    Beat::Unreachable
                }
            }
            Err(_) if last == Beat::Lost => Beat::Lost,
            Err(_) => Beat::Unreachable,
        }
    }

    async fn renew(&self, stream: Option<StreamId>) -> Result<bool, MetastoreError> {
        self.metastore
            .renew_lease(self.node_id(), self.wanted.incarnation, stream, self.times.ttl_ms())
            .await
    }

    async fn take_again(&self, stream: Option<StreamId>) -> Result<bool, MetastoreError> {
        let same = NewAgent {
            node_id: Some(self.node_id()),
            stream,
            ..self.wanted.clone()
        };
        let any = NewAgent {
            node_id: None,
            ..same.clone()
        };
        let mut taken = self.metastore.take_lease(&same, self.times.ttl_ms()).await;
        if self.auto && matches!(taken, Err(LeaseError::Taken(_))) {
            taken = self.metastore.take_lease(&any, self.times.ttl_ms()).await;
        }
        match taken {
            Ok(node_id) => {
                self.own.send_replace(live_agent(&self.wanted, node_id));
                Ok(true)
            }
            Err(LeaseError::Taken(_)) => Ok(false),
            Err(LeaseError::Metastore(error)) => Err(error),
        }
    }

    fn report(&self, last: Beat, beat: Beat, condition: &Condition) {
        let node_id = self.node_id().0;
        match (last, beat) {
            (Beat::Lost, Beat::Lost) | (Beat::Unreachable, Beat::Unreachable) | (Beat::Held, Beat::Held) => {}
            (_, Beat::Lost) => {
                tracing::error!(node.id = node_id, "lease lost: another agent took our node id");
                condition.unmet(format!("node id {node_id} was taken by another agent"));
            }
            (_, Beat::Unreachable) => {
                tracing::warn!(node.id = node_id, "lease cannot be renewed: no answer from postgres")
            }
            (_, Beat::Held) => {
                tracing::info!(node.id = node_id, "lease held again");
                condition.met();
            }
        }
    }

    async fn release(&self) {
        let released = self.metastore.release_lease(self.node_id(), self.wanted.incarnation);
        match timeout(self.times.heartbeat, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "lease not given back; it runs out by itself"),
            Err(_) => tracing::warn!("lease not given back in time; it runs out by itself"),
        }
    }
}

fn is_predecessor(by: &LiveAgent, wanted: &NewAgent) -> bool {
    by.host == wanted.host && by.port == wanted.port
}

fn live_agent(wanted: &NewAgent, node_id: NodeId) -> LiveAgent {
    LiveAgent {
        node_id,
        host: wanted.host.clone(),
        port: wanted.port,
        rack: wanted.rack.clone(),
        cache_url: wanted.cache_url.clone(),
        peer_address: wanted.peer_address.clone(),
        listeners: wanted.listeners.clone(),
    }
}
