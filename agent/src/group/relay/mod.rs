//! Passes requests on to the agent that coordinates their group, and its answers back.
//!
//! Agents may share one advertised address (nginx, an NLB), so that a client cannot choose whom it reaches; and a
//! client may not have heard yet that a group has moved. Either way the request goes on as it came, over one
//! connection per agent that many requests share, and the answer comes back as it was given. A request that was passed on
//! is marked ([`marker`]) and never passed on again: the agent it reaches answers NOT_COORDINATOR if it does not coordinate.
//!
//! A join may wait for minutes, so requests on these connections are answered in whichever order (`connection`). How long one
//! is waited for is decided by who coordinates: when the agent asked does not any more, nothing is to be expected of it.

mod link;
pub mod marker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daemon::Tasks;
use metastore::LiveAgent;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};

use self::link::{Letter, Link};
use super::ask::GroupError;
use super::tenure::{Place, Tenure};
use crate::incoming::Socket;
use crate::metrics::RELAYED;

/// Most requests that wait to be written to one agent.
const LETTERS_MAX: usize = 256;

/// How long a connection to another agent may take to be made.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long another agent's machine may leave bytes unacknowledged, in ms. After that the connection is lost, and those whose requests were
/// on it hear it; Linux itself tries for a quarter of an hour (tcp(7), TCP_USER_TIMEOUT).
const UNACKNOWLEDGED_MS_MAX: u32 = 5000;

/// How often it is asked whether the agent still coordinates.
const PATIENCE: Duration = Duration::from_millis(500);

/// How other agents are reached.
#[async_trait]
pub trait Dialer: std::fmt::Debug + Send + Sync + 'static {
    /// Connects to `host:port`.
    async fn dial(&self, address: &str) -> std::io::Result<Box<dyn Socket>>;
}

/// By TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDialer;

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self, address: &str) -> std::io::Result<Box<dyn Socket>> {
        let socket = tokio::net::TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        rustix::net::sockopt::set_tcp_user_timeout(&socket, UNACKNOWLEDGED_MS_MAX)?;
        Ok(Box::new(socket))
    }
}

/// Not at all: for tests and the simulator, where every group's agent is reached directly.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDialer;

#[async_trait]
impl Dialer for NoDialer {
    async fn dial(&self, _address: &str) -> std::io::Result<Box<dyn Socket>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// A request as it is passed on.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Its API.
    pub api_key: i16,
    /// Its version.
    pub version: i16,
    /// Whether its header has tagged fields.
    pub flexible: bool,
    /// `client.id` with the marker.
    pub client_id: String,
    /// Its body.
    pub body: Bytes,
}

/// The way to other agents; cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    links: Arc<Mutex<BTreeMap<String, mpsc::Sender<Letter>>>>,
    dialer: Arc<dyn Dialer>,
    tenure: Tenure,
    tasks: Tasks,
}

impl Relay {
    /// Connections are made when they are needed, and end with `tasks`.
    pub fn new(dialer: Arc<dyn Dialer>, tenure: Tenure, tasks: Tasks) -> Self {
        Self {
            links: Arc::default(),
            dialer,
            tenure,
            tasks,
        }
    }

    /// Passes a request on to the agent that coordinates `group`; answers the body of its answer, after the response header's
    /// correlation id.
    pub async fn pass(
        &self,
        api: &'static str,
        group: &str,
        agent: &LiveAgent,
        request: Passed,
    ) -> Result<Bytes, GroupError> {
        let passed = self.pass_to(group, agent, request).await;
        let result = if passed.is_ok() { "answered" } else { "failed" };
        counter!(RELAYED, "api" => api, "result" => result).increment(1);
        passed
    }

    async fn pass_to(&self, group: &str, agent: &LiveAgent, request: Passed) -> Result<Bytes, GroupError> {
        let (answer, mut answered) = oneshot::channel();
        let letter = Letter { request, answer };
        let link = self.link(&peer_address(agent));
        // A link that is full of unread requests leads nowhere.
        link.try_send(letter).map_err(|_| GroupError::Unavailable)?;
        loop {
            match tokio::time::timeout(PATIENCE, &mut answered).await {
                Ok(answer) => return answer.map_err(|_| GroupError::Unavailable),
                Err(_) if self.still_there(group, agent) => {}
                Err(_) => return Err(GroupError::NotCoordinator),
            }
        }
    }

    fn still_there(&self, group: &str, agent: &LiveAgent) -> bool {
        matches!(self.tenure.place(group), Place::At(now) if now.node_id == agent.node_id)
    }

    fn link(&self, address: &str) -> mpsc::Sender<Letter> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(address).filter(|link| !link.is_closed()) {
            return link.clone();
        }
        // Those that have ended on their own, to agents that are gone.
        links.retain(|_, link| !link.is_closed());
        let (letters, inbox) = mpsc::channel(LETTERS_MAX);
        links.insert(address.to_owned(), letters.clone());
        let link = Link::new(address.to_owned(), Arc::clone(&self.dialer), DIAL_TIMEOUT);
        self.tasks
            .spawn("relay", link.run(inbox, self.tasks.shutdown().clone()));
        letters
    }
}

fn peer_address(agent: &LiveAgent) -> String {
    if agent.peer_address.is_empty() {
        format!("{}:{}", agent.host, agent.port)
    } else {
        agent.peer_address.clone()
    }
}
