//! The sidecars of this zone as one cache: each object has one of them as its owner, by rendezvous hashing, so that the zone reads
//! a page from S3 once.
//!
//! Everybody knows the members from the agents' leases. Where two agents know different ones for a moment, an object is in two
//! sidecars, which costs a read and nothing else: objects never change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_api::{CacheClient, CacheError, ReadHints, ServedRange};
use metastore::LiveAgent;
use metrics::gauge;
use tokio::time::Instant;
use tracing::{info, warn};
use types::{ByteRange, ObjectKey, rendezvous_rank};

use crate::fetch::read::{Lane, ObjectCache};
use crate::metrics::CACHE_RING_MEMBERS;

/// How long after a sidecar came the former owners of its objects are asked for them: by then it has been asked for all that
/// is read at the tail. Later, whoever reads old data would pay for a question that is mostly answered with no.
const MOVED_FOR: Duration = Duration::from_secs(600);

/// The sidecars of the zone.
#[derive(Debug)]
pub struct CacheRing {
    own_url: String,
    own: Arc<CacheClient>,
    members: Mutex<Arc<Vec<Member>>>,
}

#[derive(Clone, Debug)]
struct Member {
    url: String,
    client: Arc<CacheClient>,
    /// When it came; `None`: before we did.
    since: Option<Instant>,
}

impl AsRef<str> for Member {
    fn as_ref(&self) -> &str {
        &self.url
    }
}

impl CacheRing {
    /// A ring of one: the sidecar at `url`, which others know as `advertised_url`.
    pub fn new(url: &str, advertised_url: &str) -> Result<Self, CacheError> {
        let own = Arc::new(CacheClient::new(url)?);
        let alone = Member {
            url: advertised_url.to_owned(),
            client: Arc::clone(&own),
            // It is as new as we are, and the others are older.
            since: Some(Instant::now()),
        };
        Ok(Self {
            own_url: advertised_url.to_owned(),
            own,
            members: Mutex::new(Arc::new(vec![alone])),
        })
    }

    fn members(&self) -> Arc<Vec<Member>> {
        Arc::clone(&self.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The owner of an object, and the one it was asked of until lately.
    fn owner(&self, key: &ObjectKey) -> (Arc<CacheClient>, Option<String>) {
        let members = self.members();
        let ranked = rendezvous_rank(key.as_str().as_bytes(), &members);
        let Some((owner, others)) = ranked.split_first() else {
            return (Arc::clone(&self.own), None);
        };
        let moved = owner.since.is_some_and(|since| since.elapsed() < MOVED_FOR);
        // `None` is less than any moment.
        let former = others.iter().find(|other| moved && other.since < owner.since);
        (Arc::clone(&owner.client), former.map(|former| former.url.clone()))
    }

    /// The members as they are now, from those that were.
    fn renewed(&self, before: &[Member], urls: impl Iterator<Item = String>, now: Option<Instant>) -> Vec<Member> {
        let mut members: Vec<Member> = before
            .iter()
            .filter(|member| member.url == self.own_url)
            .cloned()
            .collect();
        for url in urls {
            if members.iter().any(|member| member.url == url) {
                continue;
            }
            if let Some(known) = before.iter().find(|member| member.url == url) {
                members.push(known.clone());
                continue;
            }
            match CacheClient::new(&url) {
                Ok(client) => members.push(Member {
                    url,
                    client: Arc::new(client),
                    since: now,
                }),
                Err(error) => warn!(%error, "a sidecar advertises what is no address, leaving it out"),
            }
        }
        members.sort_by(|a, b| a.url.cmp(&b.url));
        members
    }
}

#[async_trait]
impl ObjectCache for CacheRing {
    async fn get_range(&self, key: &ObjectKey, range: ByteRange, lane: Lane) -> Result<ServedRange, CacheError> {
        let (owner, former_owner) = self.owner(key);
        let hints = ReadHints {
            cold: lane == Lane::Cold,
            former_owner,
        };
        owner.get_range(key, range, &hints).await
    }

    async fn push(&self, key: &ObjectKey, object: Bytes) -> Result<(), CacheError> {
        self.owner(key).0.push(key, object).await
    }

    fn follow(&self, own: &LiveAgent, agents: &[LiveAgent], first: bool) {
        let of_zone = agents
            .iter()
            .filter(|agent| agent.rack == own.rack && !agent.cache_url.is_empty());
        let before = self.members();
        let now = (!first).then(Instant::now);
        let members = self.renewed(&before, of_zone.map(|agent| agent.cache_url.clone()), now);
        gauge!(CACHE_RING_MEMBERS).set(members.len() as f64);
        if members
            .iter()
            .map(|member| &member.url)
            .ne(before.iter().map(|member| &member.url))
        {
            let urls: Vec<&str> = members.iter().map(AsRef::as_ref).collect();
            info!(members = urls.join(", "), "the sidecars of this zone");
            *self.members.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::NodeId;

    use super::*;

    fn agent(node_id: i32, rack: &str, cache_url: &str) -> LiveAgent {
        LiveAgent {
            node_id: NodeId(node_id),
            host: "host".to_owned(),
            port: 9092,
            rack: rack.to_owned(),
            cache_url: cache_url.to_owned(),
            peer_address: String::new(),
            listeners: Vec::new(),
        }
    }

    fn ring() -> CacheRing {
        CacheRing::new("http://127.0.0.1:9080", "http://own:9080").unwrap()
    }

    fn urls(ring: &CacheRing) -> Vec<String> {
        ring.members().iter().map(|member| member.url.clone()).collect()
    }

    fn keys() -> Vec<ObjectKey> {
        (0..1000).map(|n| ObjectKey::new(format!("data/v1/ab/{n}"))).collect()
    }

    #[tokio::test]
    async fn the_ring_is_the_sidecars_of_the_zone_and_each_once() {
        let ring = ring();
        let own = agent(0, "a", "http://own:9080");
        let agents = [
            own.clone(),
            agent(1, "a", "http://other:9080"),
            agent(2, "a", "http://other:9080"),
            agent(3, "a", ""),
            agent(4, "b", "http://elsewhere:9080"),
            agent(5, "a", "not an address"),
        ];
        ring.follow(&own, &agents, true);
        assert_eq!(urls(&ring), ["http://other:9080", "http://own:9080"]);
        ring.follow(&own, &[], false);
        assert_eq!(urls(&ring), ["http://own:9080"], "our own is there without a lease too");
    }

    #[tokio::test]
    async fn a_sidecar_that_joins_is_told_who_had_its_objects_before_and_no_other() {
        let ring = ring();
        let own = agent(0, "a", "http://own:9080");
        let old = [
            own.clone(),
            agent(1, "a", "http://old-1:9080"),
            agent(2, "a", "http://old-2:9080"),
        ];
        ring.follow(&own, &old, true);
        let owner = |key: &ObjectKey| {
            let members = ring.members();
            rendezvous_rank(key.as_str().as_bytes(), &members)[0].url.clone()
        };
        let before: Vec<String> = keys().iter().map(owner).collect();
        let joined = [&old[..], &[agent(3, "a", "http://new:9080")]].concat();
        ring.follow(&own, &joined, false);
        let mut moved = 0;
        for (key, before) in keys().iter().zip(before) {
            let former = ring.owner(key).1;
            match owner(key).as_str() {
                "http://new:9080" => {
                    moved += 1;
                    assert_eq!(former, Some(before));
                }
                // As new as we are.
                "http://own:9080" => assert!(former.is_some_and(|url| url.contains("old"))),
                _ => assert_eq!(former, None),
            }
        }
        assert!((150..350).contains(&moved), "{moved}");
    }
}
