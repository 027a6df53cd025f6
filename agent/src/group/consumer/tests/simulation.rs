//! Random groups: consumers of all kinds come, go, change their minds, fall silent and lose answers; topics change; coordinators are
//! replaced. Whatever happens, no partition is read by two consumers that both may; and when nothing happens any more, everybody gets
//! what it is to have.

use std::collections::BTreeSet;

use types::{Entropy, SeededEntropy};

use super::super::partitions::Key;
use super::clients::{Client, Style};
use super::*;

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
const REGEXES: [&str; 3] = ["[ab]", "c.*", ".*"];

struct Run {
    entropy: SeededEntropy,
    coordinator: Coordinator,
    clients: Vec<Client>,
    born: usize,
    epochs: BTreeMap<String, Epoch>,
    group_epoch: Epoch,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            entropy: SeededEntropy::new(seed),
            coordinator: Coordinator::new(World::of(&[("a", 5), ("b", 3), ("c", 8)])),
            clients: vec![],
            born: 0,
            epochs: BTreeMap::new(),
            group_epoch: Epoch::default(),
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.entropy.next_u64() % bound as u64).unwrap()
    }

    fn some_topics(&self) -> Vec<&'static str> {
        let bits = self.below(16);
        let wanted = TOPICS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
        wanted.map(|(_, topic)| *topic).collect()
    }

    fn step(&mut self) {
        match self.below(100) {
            0..6 => self.come(),
            6..10 => self.go(),
            10..14 => self.change_mind(),
            14..17 => self.change_topics(),
            17..20 => self.coordinator.change_hands(),
            20..30 => self.pass([1, 1, 3, 5, 12, 25][self.below(6)]),
            30..50 => self.with_any(Client::revoke),
            50..65 => self.with_any(Client::take),
            choice => self.talk(choice < 70),
        }
        self.judge();
    }

    fn come(&mut self) {
        if self.clients.len() >= 8 {
            return;
        }
        self.born += 1;
        let style = [Style::Modern, Style::Modern, Style::Cooperative, Style::Eager][self.below(4)];
        let topics = self.some_topics();
        let mut client = Client::new(&format!("m{}", self.born), style, &topics);
        if style == Style::Modern {
            client.regex = [None, None, Some(REGEXES[self.below(3)].to_owned())][self.below(3)].clone();
            client.assignor = [None, Some(assign::Assignor::Range)][self.below(2)];
            let instance = format!("i{}", self.below(3));
            let is_free = self
                .clients
                .iter()
                .all(|other| other.instance.as_ref() != Some(&instance));
            client.instance = (self.below(3) == 0 && is_free).then_some(instance);
        }
        self.clients.push(client);
    }

    fn go(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let client = self.clients.swap_remove(self.below(self.clients.len()));
        match self.below(3) {
            // Silently: its session has to run out.
            0 => {}
            _ if client.style == Style::Modern => {
                let for_a_while = client.instance.is_some() && self.below(2) == 0;
                let request = Heartbeat {
                    member_id: client.id,
                    epoch: if for_a_while { Epoch::LEAVE_STATIC } else { Epoch::LEAVE },
                    instance_id: client.instance,
                    ..Heartbeat::default()
                };
                let _ = self.coordinator.heartbeat(&request);
            }
            _ => {
                let leaving = [(client.id, client.instance)];
                let left: Result<_, Refusal> = self.coordinator.call(|live, now| Ok(live.leave_classic(&leaving, now)));
                assert_eq!(left.unwrap().len(), 1);
            }
        }
    }

    fn change_mind(&mut self) {
        let (topics, regex) = (self.some_topics(), REGEXES[self.below(3)]);
        let by_regex = self.below(3) == 0;
        self.with_any(|client| {
            let regex = (by_regex && client.style == Style::Modern).then_some(regex);
            client.subscribe(&topics, regex);
        });
    }

    fn change_topics(&mut self) {
        let (name, count) = (TOPICS[self.below(4)], 1 + self.below(9) as i32);
        let world = &mut self.coordinator.world;
        match (world.0.get_mut(name), self.entropy.next_u64() % 3) {
            (Some(shape), 0 | 1) => shape.partition_count = shape.partition_count.max(count),
            (Some(_), _) => drop(world.0.remove(name)),
            (None, _) => world.create(name, count),
        }
    }

    fn pass(&mut self, seconds: u64) {
        let expired = self.coordinator.pass(Duration::from_secs(seconds));
        // Those that were thrown out are fenced: what they read on, they cannot commit. They learn of it when they next speak.
        for client in &mut self.clients {
            if expired.contains(&client.id) {
                client.uses.clear();
                client.told.clear();
            }
        }
    }

    fn with_any(&mut self, change: impl FnOnce(&mut Client)) {
        if !self.clients.is_empty() {
            let client = self.below(self.clients.len());
            change(&mut self.clients[client]);
        }
    }

    fn talk(&mut self, lost: bool) {
        if !self.clients.is_empty() {
            let client = self.below(self.clients.len());
            let _ = self.clients[client].talk(&mut self.coordinator, lost);
        }
    }

    fn judge(&mut self) {
        let mut used: BTreeMap<Key, &str> = BTreeMap::new();
        for client in &self.clients {
            for key in &client.uses {
                let other = used.insert(*key, &client.id);
                assert_eq!(other, None, "{key:?} is read by {} too", client.id);
            }
        }
        let group = &self.coordinator.live.group;
        let mut held = BTreeSet::new();
        for (id, member) in group.members() {
            for (key, _) in member.assigned.iter().chain(member.revoking.iter()) {
                assert!(held.insert(key), "{key:?} is with {id} and somebody else");
            }
            if !member.is_away() && member.epoch != Epoch::JOIN {
                let before = self.epochs.insert(id.to_owned(), member.epoch);
                assert!(before <= Some(member.epoch), "the epoch of {id} shrank");
                assert!(member.epoch <= group.epoch());
            }
        }
        assert!(self.group_epoch <= group.epoch() && group.assignment_epoch() <= group.epoch());
        self.group_epoch = group.epoch();
    }

    /// Nothing happens any more but heartbeats, until all who are gone have been noticed.
    fn settle(&mut self) {
        for _ in 0..40 {
            self.pass(5);
            for client in 0..self.clients.len() {
                let _ = self.clients[client].talk(&mut self.coordinator, false);
                self.clients[client].revoke();
                self.judge();
                self.clients[client].take();
                self.judge();
            }
        }
    }

    fn judge_settled(&self) {
        let group = &self.coordinator.live.group;
        let expected = if self.clients.is_empty() {
            GroupState::Empty
        } else {
            GroupState::Stable
        };
        assert_eq!(group.state(), expected, "{group:#?}");
        let world = &self.coordinator.world;
        for client in &self.clients {
            let uses: BTreeSet<Key> = group.target(&client.id).iter().collect();
            assert_eq!(client.uses, uses, "{client:?}");
        }
        let everything = world.0.iter().filter(|(name, _)| group.subscribes_to(name));
        let everything: i32 = everything.map(|(_, shape)| shape.partition_count).sum();
        let read: usize = self.clients.iter().map(|client| client.uses.len()).sum();
        assert_eq!(read, usize::try_from(everything).unwrap());
        assert_eq!(group.members().count(), self.clients.len());
    }
}

#[test]
fn no_partition_is_ever_read_twice_and_everything_settles() {
    for seed in 0..40 {
        let mut run = Run::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..400 {
                run.step();
            }
            run.settle();
            run.judge_settled();
        }));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
