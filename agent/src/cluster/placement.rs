//! Who leads what for whom. Pure: live agents and a client's zone in, brokers as Kafka clients see them out.
//!
//! Any agent serves any partition, so "leader" and "coordinator" only spread the load: every agent computes the same
//! answer from the same leases, and an agent that comes or goes moves only its own share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use metastore::LiveAgent;
use types::{NodeId, PartitionIndex, TopicId, rendezvous_rank};

/// Ids made from addresses start here: far above any node id that somebody would set.
const SHARED_ID_MIN: i32 = 1 << 30;

/// A broker as clients are shown it: an address under one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedBroker {
    /// The agent's node id, or an id made from the address where several agents share it.
    pub id: NodeId,
    /// Host to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Zone, if it has one (and only one).
    pub rack: Option<String>,
    /// The id as rendezvous hashing takes it.
    member: String,
    /// The agents behind the address.
    agents: Vec<NodeId>,
}

impl AsRef<str> for AdvertisedBroker {
    fn as_ref(&self) -> &str {
        &self.member
    }
}

/// The brokers of the cluster, and which of them serve clients of one zone.
#[derive(Debug)]
pub struct Placement {
    agents: Vec<LiveAgent>,
    brokers: Vec<AdvertisedBroker>,
    /// The client's zone, if a broker lives there.
    zone: Option<String>,
    /// Replicas of the topics that were asked for.
    worked_out: Mutex<HashMap<TopicId, Arc<[Vec<NodeId>]>>>,
}

impl Placement {
    /// Placement for a client of `zone` (`None`: it did not say). `agents` is never empty: it holds at least ourselves.
    pub fn new(agents: &[LiveAgent], zone: Option<&str>) -> Self {
        assert!(
            !agents.is_empty(),
            "a cluster has at least one agent, the one that answers"
        );
        let brokers = advertised(agents);
        let zone = zone.filter(|zone| brokers.iter().any(|broker| broker.is_in(zone)));
        Self {
            zone: zone.map(str::to_owned),
            agents: agents.to_vec(),
            brokers,
            worked_out: Mutex::default(),
        }
    }

    /// Every broker, by id.
    pub fn brokers(&self) -> &[AdvertisedBroker] {
        &self.brokers
    }

    /// The broker to be shown as controller: the same for everybody.
    pub fn controller(&self) -> NodeId {
        self.brokers[0].id
    }

    /// The broker that this client is sent to for a partition.
    pub fn leader(&self, topic: TopicId, partition: PartitionIndex) -> NodeId {
        self.leader_of(&self.ranked(topic, partition)).id
    }

    /// The brokers shown as a partition's replicas: its leader, then one of every other zone. A client takes a broker for one it
    /// may read from only if it is among them (KIP-392).
    pub fn replicas(&self, topic: TopicId, partition: PartitionIndex) -> Vec<NodeId> {
        let ranked = self.ranked(topic, partition);
        let leader = self.leader_of(&ranked);
        let mut zones: BTreeSet<&str> = leader.rack.as_deref().into_iter().collect();
        let others = ranked
            .iter()
            .filter(|broker| broker.rack.as_deref().is_some_and(|rack| zones.insert(rack)));
        let others: Vec<NodeId> = others.map(|broker| broker.id).collect();
        [vec![leader.id], others].concat()
    }

    /// The broker from which a reader in `zone` should rather read than from the agent `own`; `None`: from us, because nobody is
    /// nearer.
    pub fn nearer(&self, own: NodeId, zone: &str, topic: TopicId, partition: PartitionIndex) -> Option<NodeId> {
        let own = self.brokers.iter().find(|broker| broker.agents.contains(&own));
        if own.is_some_and(|own| own.is_in(zone)) {
            return None;
        }
        let ranked = self.ranked(topic, partition);
        ranked
            .into_iter()
            .find(|broker| broker.is_in(zone))
            .map(|broker| broker.id)
    }

    /// The replicas of every partition of a topic, the leader first.
    pub fn replicas_of(&self, topic: TopicId, partition_count: i32) -> Arc<[Vec<NodeId>]> {
        let mut worked_out = self.worked_out.lock().unwrap_or_else(PoisonError::into_inner);
        let known = worked_out.get(&topic);
        if let Some(known) = known.filter(|known| usize::try_from(partition_count) == Ok(known.len())) {
            return Arc::clone(known);
        }
        let all = (0..partition_count).map(|index| self.replicas(topic, PartitionIndex(index)));
        let all: Arc<[Vec<NodeId>]> = all.collect();
        worked_out.insert(topic, Arc::clone(&all));
        all
    }

    /// The broker as which an agent is shown.
    pub fn broker_of(&self, agent: NodeId) -> Option<NodeId> {
        let shown = self.brokers.iter().find(|broker| broker.agents.contains(&agent));
        shown.map(|broker| broker.id)
    }

    /// The broker that stands for the agent that coordinates a consumer group: the same for clients of every zone.
    pub fn coordinator(&self, group: &str) -> &AdvertisedBroker {
        let agent = coordinating_agent(&self.agents, group);
        let shown = |broker: &&AdvertisedBroker| broker.host == agent.host && broker.port == agent.port;
        self.brokers
            .iter()
            .find(shown)
            .expect("every agent is shown as some broker")
    }

    fn ranked(&self, topic: TopicId, partition: PartitionIndex) -> Vec<&AdvertisedBroker> {
        let key = [topic.0.as_bytes().as_slice(), &partition.0.to_be_bytes()].concat();
        rendezvous_rank(&key, &self.brokers)
    }

    fn leader_of<'a>(&self, ranked: &[&'a AdvertisedBroker]) -> &'a AdvertisedBroker {
        let serves = |broker: &&&AdvertisedBroker| self.zone.as_deref().is_none_or(|zone| broker.is_in(zone));
        ranked
            .iter()
            .find(serves)
            .expect("a zone counts only if a broker lives there")
    }
}

/// The agent that coordinates a consumer group. Chosen among agents, not brokers: of several behind one address it is one,
/// to which the others pass requests on.
pub fn coordinating_agent<'a>(agents: &'a [LiveAgent], group: &str) -> &'a LiveAgent {
    let ids: Vec<String> = agents.iter().map(|agent| agent.node_id.to_string()).collect();
    let first = rendezvous_rank(group.as_bytes(), &ids)[0];
    let first = ids.iter().position(|id| std::ptr::eq(id, first));
    &agents[first.expect("the first of the ranking is one of them")]
}

impl AdvertisedBroker {
    fn is_in(&self, zone: &str) -> bool {
        self.rack.as_deref() == Some(zone)
    }
}

/// Agents behind one address (nginx, an NLB) become one broker: a client that is shown two ids for one address takes them
/// for one broker that keeps changing its id, and loses the leader at every refresh (librdkafka 2.0.2, seen).
fn advertised(agents: &[LiveAgent]) -> Vec<AdvertisedBroker> {
    let mut by_address: BTreeMap<(&str, u16), Vec<&LiveAgent>> = BTreeMap::new();
    for agent in agents {
        by_address.entry((&agent.host, agent.port)).or_default().push(agent);
    }
    let mut taken: BTreeSet<NodeId> = agents.iter().map(|agent| agent.node_id).collect();
    let mut brokers: Vec<AdvertisedBroker> = by_address
        .into_iter()
        .map(|((host, port), sharing)| {
            let id = if let [alone] = sharing[..] {
                alone.node_id
            } else {
                shared_id(host, port, &mut taken)
            };
            AdvertisedBroker {
                id,
                host: host.to_owned(),
                port,
                rack: common_rack(&sharing),
                member: id.to_string(),
                agents: sharing.iter().map(|agent| agent.node_id).collect(),
            }
        })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    brokers
}

/// An id that depends on the address alone, unless somebody has set it as a node id.
fn shared_id(host: &str, port: u16, taken: &mut BTreeSet<NodeId>) -> NodeId {
    let hash = crc32c::crc32c(format!("{host}:{port}").as_bytes());
    let mut id = SHARED_ID_MIN | (hash & 0x3fff_ffff).cast_signed();
    while !taken.insert(NodeId(id)) {
        id = SHARED_ID_MIN | (id.wrapping_add(1) & 0x3fff_ffff);
    }
    NodeId(id)
}

fn common_rack(agents: &[&LiveAgent]) -> Option<String> {
    let rack = &agents[0].rack;
    let common = !rack.is_empty() && agents.iter().all(|agent| agent.rack == *rack);
    common.then(|| rack.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn agent(node_id: i32, host: &str, rack: &str) -> LiveAgent {
        LiveAgent {
            node_id: NodeId(node_id),
            host: host.to_owned(),
            port: 9092,
            rack: rack.to_owned(),
            cache_url: String::new(),
            peer_address: String::new(),
            listeners: Vec::new(),
        }
    }

    fn leaders(placement: &Placement) -> Vec<i32> {
        let topic = TopicId(Uuid::from_u128(7));
        (0..300)
            .map(|partition| placement.leader(topic, PartitionIndex(partition)).0)
            .collect()
    }

    #[test]
    fn leaders_are_spread_over_all_agents_and_do_not_depend_on_their_order() {
        let (a, b, c) = (agent(1, "a", ""), agent(2, "b", ""), agent(3, "c", ""));
        let forward = leaders(&Placement::new(&[a.clone(), b.clone(), c.clone()], None));
        assert_eq!(forward, leaders(&Placement::new(&[c, a, b], None)));
        for node in 1..=3 {
            assert!(forward.iter().filter(|leader| **leader == node).count() > 60);
        }
    }

    #[test]
    fn clients_of_a_zone_are_led_by_its_agents_and_others_by_all() {
        let agents = [
            agent(1, "a", "zone-a"),
            agent(2, "b", "zone-b"),
            agent(3, "c", "zone-b"),
        ];
        assert!(
            leaders(&Placement::new(&agents, Some("zone-a")))
                .iter()
                .all(|leader| *leader == 1)
        );
        assert!(
            leaders(&Placement::new(&agents, Some("zone-b")))
                .iter()
                .all(|leader| *leader != 1)
        );
        let everybody = leaders(&Placement::new(&agents, None));
        assert_eq!(leaders(&Placement::new(&agents, Some("zone-c"))), everybody);
        assert!(everybody.contains(&1) && everybody.contains(&2));
    }

    #[test]
    fn replicas_are_the_leader_and_one_of_every_other_zone() {
        let agents = [
            agent(1, "a", "zone-a"),
            agent(2, "b", "zone-b"),
            agent(3, "c", "zone-b"),
            agent(4, "d", ""),
        ];
        let placement = Placement::new(&agents, None);
        let topic = TopicId(Uuid::from_u128(7));
        for partition in (0..100).map(PartitionIndex) {
            let replicas = placement.replicas(topic, partition);
            assert_eq!(replicas[0], placement.leader(topic, partition));
            let both_of_b = replicas.contains(&NodeId(2)) && replicas.contains(&NodeId(3));
            assert!(replicas.contains(&NodeId(1)) && !both_of_b, "{replicas:?}");
        }
        let nowhere = Placement::new(&agents[3..], None);
        assert_eq!(nowhere.replicas(topic, PartitionIndex(0)), [NodeId(4)]);
    }

    #[test]
    fn a_reader_is_sent_to_its_own_zone_and_only_to_a_replica_it_was_shown() {
        let agents = [
            agent(1, "a", "zone-a"),
            agent(2, "b", "zone-b"),
            agent(3, "c", "zone-b"),
        ];
        let placement = Placement::new(&agents, None);
        let topic = TopicId(Uuid::from_u128(7));
        for partition in (0..100).map(PartitionIndex) {
            let nearer = |own, zone| placement.nearer(NodeId(own), zone, topic, partition);
            let found = nearer(1, "zone-b").unwrap();
            assert!(placement.replicas(topic, partition).contains(&found), "{found:?}");
            assert_eq!(
                (nearer(2, "zone-b"), nearer(3, "zone-b")),
                (None, None),
                "it is there already"
            );
            assert_eq!(nearer(2, "zone-a"), Some(NodeId(1)));
            assert_eq!(nearer(1, "zone-c"), None, "nobody lives there");
        }
    }

    #[test]
    fn a_groups_coordinator_is_the_same_for_every_zone() {
        let agents = [
            agent(1, "a", "zone-a"),
            agent(2, "b", "zone-b"),
            agent(3, "c", "zone-b"),
        ];
        for group in 0..50 {
            let of = |zone| Placement::new(&agents, zone).coordinator(&format!("group-{group}")).id;
            assert_eq!(of(None), of(Some("zone-b")));
        }
    }

    #[test]
    fn agents_behind_one_address_are_one_broker_with_a_stable_id() {
        let agents = [
            agent(1, "lb", "zone-a"),
            agent(2, "lb", "zone-b"),
            agent(3, "other", "zone-a"),
        ];
        let placement = Placement::new(&agents, None);
        let [other, shared] = placement.brokers() else {
            panic!("{placement:?}")
        };
        assert_eq!((other.id, other.rack.as_deref()), (NodeId(3), Some("zone-a")));
        assert!(shared.id.0 >= SHARED_ID_MIN);
        assert_eq!((shared.host.as_str(), shared.rack.as_deref()), ("lb", None));
        assert!(
            placement
                .brokers()
                .iter()
                .any(|broker| broker.id == placement.controller())
        );
        let later = Placement::new(&[agent(8, "lb", "zone-a"), agent(9, "lb", "zone-a")], None);
        assert_eq!(
            (later.brokers()[0].id, later.brokers()[0].rack.as_deref()),
            (shared.id, Some("zone-a"))
        );
    }

    #[test]
    fn an_id_made_from_an_address_gives_way_to_a_node_id_that_is_the_same() {
        let sharing = [agent(1, "lb", ""), agent(2, "lb", "")];
        let id = Placement::new(&sharing, None).brokers()[0].id;
        let [a, b] = sharing;
        let placement = Placement::new(&[a, b, agent(id.0, "unlucky", "")], None);
        let mut ids: Vec<_> = placement.brokers().iter().map(|broker| broker.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 2);
        assert!(ids.contains(&id) && ids.iter().all(|id| id.0 > 0));
    }
}
