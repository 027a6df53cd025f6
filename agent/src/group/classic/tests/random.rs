//! Whole histories: clients that join, sync, heartbeat, commit, leave and die at random; coordinators that are replaced, and saves
//! that fail or whose answers are lost. Judged by what clients were told.

use std::collections::BTreeMap;

use super::*;
use types::Entropy;

const CLIENTS: usize = 6;
const PARTITIONS: u8 = 12;
const STEPS: usize = 3000;

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    Nothing,
    Joining(Ticket),
    /// Has joined, with whom it is to share if it leads.
    ToSync(i32, Vec<String>),
    Syncing(i32, Ticket),
    Reading(i32),
}

struct Client {
    name: String,
    instance: Option<String>,
    id: String,
    doing: Doing,
}

struct History {
    bench: Bench,
    saved: GroupState,
    clients: Vec<Client>,
    /// Who was told to read what: by generation and partition, the lasting name or else the id.
    told: BTreeMap<(i32, u8), String>,
    newest: i32,
    seed: u64,
    settled: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut bench = Bench::new();
        bench.entropy = SeededEntropy::new(seed);
        let clients = (0..CLIENTS).map(|n| Client {
            name: format!("c{n}"),
            instance: (n % 3 == 2).then(|| format!("i{n}")),
            id: String::new(),
            doing: Doing::Nothing,
        });
        Self {
            bench,
            saved: GroupState::empty(GroupKind::Classic),
            clients: clients.collect(),
            told: BTreeMap::new(),
            newest: 0,
            seed,
            settled: 0,
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.bench.entropy.next_u64() % below
    }

    fn step(&mut self) {
        let client = self.draw(CLIENTS as u64) as usize;
        match self.draw(100) {
            0..=69 => self.act(client),
            70..=71 => self.clients[client].doing = Doing::Nothing,
            72..=73 => self.leave(client),
            // It restarts: what it knew is gone.
            74 => {
                self.clients[client].doing = Doing::Nothing;
                self.clients[client].id.clear();
            }
            75..=76 => self.replace_coordinator(true),
            77..=97 => self.pass(self.draw(2000)),
            _ => self.pass(self.draw(12_000)),
        }
        self.hear();
    }

    fn act(&mut self, client: usize) {
        match self.clients[client].doing.clone() {
            Doing::Nothing => self.join(client),
            Doing::Joining(_) | Doing::Syncing(..) => {}
            Doing::ToSync(generation, members) => self.sync(client, generation, &members),
            Doing::Reading(generation) => self.heartbeat(client, generation),
        }
    }

    fn join(&mut self, client: usize) {
        let Client { name, instance, id, .. } = &self.clients[client];
        let mut join = join(name, id);
        join.member.instance_id.clone_from(instance);
        let ticket = self.ask(Ask::Join(join));
        self.clients[client].doing = Doing::Joining(ticket);
    }

    fn sync(&mut self, client: usize, generation: i32, members: &[String]) {
        let mut shares: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (partition, member) in (0..PARTITIONS).zip(members.iter().cycle()) {
            shares.entry(member.clone()).or_default().push(partition);
        }
        let shares = shares.into_iter().map(|(id, share)| (id, share.into())).collect();
        let mut sync = sync(&self.clients[client].id, generation, shares);
        sync.member.instance_id.clone_from(&self.clients[client].instance);
        let ticket = self.ask(Ask::Sync(sync));
        self.clients[client].doing = Doing::Syncing(generation, ticket);
    }

    fn heartbeat(&mut self, client: usize, generation: i32) {
        let mut ask = member(&self.clients[client].id, generation);
        ask.member.instance_id.clone_from(&self.clients[client].instance);
        let ticket = self.ask(Ask::Heartbeat(ask));
        match self.bench.answers.remove(&ticket) {
            Some(Ok(_)) => assert_eq!(generation, self.newest, "seed {}: an old generation goes on", self.seed),
            Some(Err(error)) => self.refused(client, &error),
            None => panic!("seed {}: a heartbeat is answered at once", self.seed),
        }
    }

    fn leave(&mut self, client: usize) {
        if !matches!(self.clients[client].doing, Doing::Joining(_) | Doing::Syncing(..)) {
            self.ask(Ask::Leave(vec![identity(&self.clients[client].id)]));
            self.clients[client].id.clear();
            self.clients[client].doing = Doing::Nothing;
        }
    }

    fn ask(&mut self, ask: Ask) -> Ticket {
        let ticket = self.bench.ask(ask);
        self.save(Some(ticket));
        ticket
    }

    fn pass(&mut self, ms: u64) {
        let end = self.bench.now + Duration::from_millis(ms);
        while let Some(next) = self.bench.group.next_deadline().filter(|next| *next <= end) {
            self.bench.now = next.max(self.bench.now);
            self.bench.with(ClassicGroup::tick);
            self.save(None);
            self.hear();
        }
        self.bench.now = end;
    }

    /// What the owner does after each turn: save, then tell; or tell nothing and let go.
    fn save(&mut self, _asked: Option<Ticket>) {
        if !self.bench.group.take_changed() {
            return;
        }
        let lost = self.draw(50);
        if lost != 0 {
            self.saved = self.bench.group.state();
        }
        if lost <= 1 {
            // Not saved, or saved and the answer lost. Nobody hears what was decided.
            let decided: Vec<Ticket> = self.bench.answers.keys().copied().collect();
            self.replace_coordinator(false);
            for ticket in decided {
                self.bench.answers.insert(ticket, Err(GroupError::NotCoordinator));
            }
        }
    }

    fn replace_coordinator(&mut self, saved: bool) {
        if saved {
            assert!(!self.bench.group.take_changed(), "every change is saved");
        }
        self.bench.abandon();
        self.bench.group = ClassicGroup::load(&self.saved, self.bench.now).unwrap();
    }

    fn hear(&mut self) {
        for client in 0..CLIENTS {
            let ticket = match self.clients[client].doing {
                Doing::Joining(ticket) | Doing::Syncing(_, ticket) => ticket,
                Doing::Nothing | Doing::ToSync(..) | Doing::Reading(_) => continue,
            };
            match self.bench.answers.remove(&ticket) {
                Some(Ok(Told::Joined(joined))) => self.joined(client, joined),
                Some(Ok(Told::Synced(share))) => self.synced(client, &share.assignment),
                Some(Err(error)) => self.refused(client, &error),
                Some(Ok(other)) => panic!("seed {}: {other:?}", self.seed),
                None => {}
            }
        }
    }

    fn joined(&mut self, client: usize, joined: Joined) {
        assert!(
            joined.generation >= self.newest,
            "seed {}: generations only grow",
            self.seed
        );
        self.newest = joined.generation;
        let members = joined.members.into_iter().map(|member| member.member_id).collect();
        self.clients[client].id = joined.member_id;
        self.clients[client].doing = Doing::ToSync(joined.generation, members);
    }

    fn synced(&mut self, client: usize, share: &[u8]) {
        let Doing::Syncing(generation, _) = self.clients[client].doing else {
            unreachable!()
        };
        let reader = self.clients[client]
            .instance
            .as_ref()
            .unwrap_or(&self.clients[client].id)
            .clone();
        for partition in share {
            let told = self
                .told
                .entry((generation, *partition))
                .or_insert_with(|| reader.clone());
            assert_eq!(
                *told, reader,
                "seed {}: partition {partition} twice in {generation}",
                self.seed
            );
        }
        self.settled += 1;
        self.clients[client].doing = Doing::Reading(generation);
    }

    fn refused(&mut self, client: usize, error: &GroupError) {
        match error {
            GroupError::MemberIdRequired(id) => self.clients[client].id.clone_from(id),
            GroupError::UnknownMember | GroupError::FencedInstance => self.clients[client].id.clear(),
            GroupError::NotCoordinator | GroupError::Rebalancing | GroupError::IllegalGeneration => {}
            other => panic!("seed {}: {other:?}", self.seed),
        }
        // One whose assignment goes on asks again; everybody else joins.
        if !matches!(
            (&self.clients[client].doing, error),
            (Doing::Reading(_), GroupError::NotCoordinator)
        ) {
            self.clients[client].doing = Doing::Nothing;
        }
    }

    /// Everybody falls silent: the group has to come to rest, with nobody left waiting.
    fn come_to_rest(&mut self) {
        self.pass(3_600_000);
        self.hear();
        let waiting = self
            .clients
            .iter()
            .filter(|client| matches!(client.doing, Doing::Joining(_) | Doing::Syncing(..)));
        assert_eq!(
            waiting.count(),
            0,
            "seed {}: every join and sync is answered",
            self.seed
        );
        assert!(self.bench.group.is_idle(), "seed {}: {:?}", self.seed, self.bench.group);
        assert_eq!(self.bench.group.next_deadline(), None, "seed {}", self.seed);
    }
}

#[test]
fn no_history_gives_a_partition_to_two_members_of_one_generation() {
    let (mut generations, mut settled) = (0, 0);
    for seed in 0..60 {
        let mut history = History::new(seed);
        for _ in 0..STEPS {
            history.step();
        }
        history.come_to_rest();
        generations += history.newest;
        settled += history.settled;
    }
    // A history in which nothing happens proves nothing.
    assert!(
        generations > 60 * 20 && settled > 60 * 40,
        "{generations} generations, {settled} assignments"
    );
}
