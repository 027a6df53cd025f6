//! Consumers as real clients behave: they use what they were told to, give up before they take, and tell when they have.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ConsumerProtocolSubscription;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition;
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::super::classic::{ClassicJoin, ClassicProtocol, ClassicSync};
use super::super::embedded;
use super::super::partitions::{Key, Partitions};
use super::*;

/// How a consumer takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Modern,
    /// Classic; keeps reading while it rejoins.
    Cooperative,
    /// Classic; gives everything up before it rejoins.
    Eager,
}

/// One consumer.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub id: String,
    pub instance: Option<String>,
    pub style: Style,
    pub names: BTreeSet<String>,
    pub regex: Option<String>,
    pub assignor: Option<assign::Assignor>,
    pub epoch: Epoch,
    /// What it reads.
    pub uses: BTreeSet<Key>,
    /// What it was told last.
    pub told: BTreeSet<Key>,
    /// It has to say everything: it joins, or an answer got lost.
    says_all: bool,
    /// What it said last that it uses.
    said: BTreeSet<Key>,
    rejoins: bool,
}

impl Client {
    pub(super) fn new(id: &str, style: Style, names: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            instance: None,
            style,
            names: names.iter().map(|name| String::from(*name)).collect(),
            regex: None,
            assignor: None,
            epoch: Epoch::JOIN,
            uses: BTreeSet::new(),
            told: BTreeSet::new(),
            says_all: true,
            said: BTreeSet::new(),
            rejoins: true,
        }
    }

    pub(super) fn subscribe(&mut self, names: &[&str], regex: Option<&str>) {
        self.names = names.iter().map(|name| String::from(*name)).collect();
        self.regex = regex.map(str::to_owned);
        self.says_all = true;
        self.rejoins = true;
    }

    /// Gives up what it is not to read, and only then takes what is new.
    pub(super) fn revoke(&mut self) {
        self.uses.retain(|key| self.told.contains(key));
    }

    pub(super) fn take(&mut self) {
        self.revoke();
        self.uses.extend(&self.told);
    }

    pub(super) fn start_over(&mut self) {
        self.epoch = Epoch::JOIN;
        self.uses.clear();
        self.told.clear();
        self.said.clear();
        self.says_all = true;
        self.rejoins = true;
    }

    pub(super) fn request(&mut self) -> Heartbeat {
        let all = self.says_all || self.epoch == Epoch::JOIN;
        let tells_owned = all || self.uses != self.said;
        self.said.clone_from(&self.uses);
        Heartbeat {
            member_id: self.id.clone(),
            epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: all.then_some(30_000),
            names: all.then(|| self.names.clone()),
            regex: all.then(|| self.regex.clone().unwrap_or_default()),
            assignor: self.assignor,
            owned: tells_owned.then(|| self.uses.iter().copied().collect()),
            ..Heartbeat::default()
        }
    }

    /// One round trip. `lost`: the coordinator acts, but the answer does not arrive.
    pub(super) fn talk(&mut self, coordinator: &mut Coordinator, lost: bool) -> Result<(), Refusal> {
        let answer = match self.style {
            Style::Modern => self.heartbeat(coordinator, lost),
            Style::Cooperative | Style::Eager => self.classic(coordinator, lost),
        };
        match answer {
            Ok(()) => Ok(()),
            Err(refusal) if lost => {
                self.says_all = true;
                Err(refusal)
            }
            Err(refusal) => {
                self.start_over();
                Err(refusal)
            }
        }
    }

    fn heartbeat(&mut self, coordinator: &mut Coordinator, lost: bool) -> Result<(), Refusal> {
        let answer = coordinator.heartbeat(&self.request())?;
        self.says_all = lost;
        if lost {
            return Ok(());
        }
        self.epoch = answer.epoch;
        if let Some(assignment) = answer.assignment {
            self.told = assignment.iter().collect();
        }
        Ok(())
    }

    fn classic(&mut self, coordinator: &mut Coordinator, lost: bool) -> Result<(), Refusal> {
        if !self.rejoins {
            let (id, instance, epoch) = (self.id.clone(), self.instance.clone(), self.epoch);
            self.rejoins =
                coordinator.call(|live, moment| live.heartbeat_classic(&id, instance.as_deref(), epoch, moment))?;
            return Ok(());
        }
        if self.style == Style::Eager {
            self.uses.clear();
            self.told.clear();
        }
        let join = self.join(&coordinator.world);
        let joined = coordinator.call(|live, moment| live.join_classic(&join, moment))?;
        if lost {
            return Ok(());
        }
        self.epoch = joined.generation;
        let sync = ClassicSync {
            member_id: &join.member_id,
            instance_id: join.instance_id.as_deref(),
            generation: joined.generation,
            protocol_type: Some("consumer"),
            protocol_name: Some("range"),
        };
        let assigned = match coordinator.call(|live, moment| live.sync_classic(&sync, moment)) {
            Err(Refusal::RebalanceInProgress) => return Ok(()),
            assigned => assigned?,
        };
        let assigned = embedded::assignment(&assigned).unwrap();
        self.told = embedded::by_id(&assigned.partitions, &coordinator.world)
            .iter()
            .collect();
        // A cooperative member that had to give something up rejoins to say that it did.
        self.rejoins = !self.uses.is_subset(&self.told);
        self.take();
        Ok(())
    }

    pub(super) fn join(&self, world: &World) -> ClassicJoin {
        ClassicJoin {
            member_id: self.id.clone(),
            is_new: self.epoch == Epoch::JOIN,
            instance_id: self.instance.clone(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![ClassicProtocol {
                name: "range".to_owned(),
                metadata: subscription(&self.names, &self.uses.iter().copied().collect(), world),
            }],
            ..ClassicJoin::default()
        }
    }
}

/// A subscription as classic consumers embed it.
pub(super) fn subscription(names: &BTreeSet<String>, owned: &Partitions, world: &World) -> Bytes {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let owned = owned.by_topic().filter_map(|(id, partitions)| {
        let partitions = partitions.iter().map(|partition| partition.0).collect();
        let topic = TopicPartition::default().with_topic(text(&world.name_of(id)?).into());
        Some(topic.with_partitions(partitions))
    });
    let message = ConsumerProtocolSubscription::default()
        .with_topics(names.iter().map(|name| text(name)).collect())
        .with_owned_partitions(owned.collect());
    let mut bytes = BytesMut::from([0, 1].as_slice());
    message.encode(&mut bytes, 1).unwrap();
    bytes.freeze()
}
