//! A producer that treats requests, answers and errors as the Java client or librdkafka does, and writes down what it was promised.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, ensure};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, ProducerId};
use kafka_protocol::records::NO_SEQUENCE;
use tokio::time::{Instant, sleep_until};
use types::{Clock, limits::PRODUCER_BATCHES_REMEMBERED};

use super::ask::{read_your_write, rest};
use super::batch::{Identity, Recipe, Sent, encode, key};
use super::broker::{PATIENCE, topic_name};
use super::connection::{Answer, Connection};
use super::errors::{Reaction, reaction};
use super::pending::{Next, Pending};
use super::{Clients, Partition};
use crate::clock::VirtualClock;
use crate::plan::{Manner, ProducerPlan, Promise};
use crate::random::Dice;

/// Most batches of one request.
const BATCHES_PER_REQUEST_MAX: usize = 2;

/// Numbers of the ledger that belong to one producer: each time it has to begin anew, or moves where moving turns the
/// order, it takes the next.
const GENERATIONS_MAX: u32 = 1000;

/// New batches of 1000 before which a producer that may move does.
const MOVES_PERMILLE: u64 = 150;

const INIT_PRODUCER_ID_VERSION: i16 = 4;

/// One producer at work.
pub struct Producer {
    clients: Clients,
    plan: ProducerPlan,
    clock: VirtualClock,
    dice: Dice,
    manner: Manner,
    /// A new epoch is taken as soon as nothing is in flight.
    drains: bool,
    first_number: u32,
    generation: u32,
    version: i16,
    identity: Option<Identity>,
    sequences: BTreeMap<Partition, i32>,
    firsts: BTreeMap<Partition, u64>,
    numbers: BTreeMap<Partition, u64>,
    pending: Pending,
    connection: Option<Connection>,
    /// Connections to agents that are not written to any more, and may still answer.
    left_behind: Vec<Connection>,
    process: Option<Arc<str>>,
    flights: VecDeque<Flight>,
    left: u64,
    next_batch_at: Instant,
    rest_until: Instant,
}

/// A request whose answer is not there.
struct Flight {
    answer: Answer<ProduceRequest>,
    batches: Vec<Sent>,
    deadline: Instant,
}

enum Woken {
    /// To this one of the requests in flight.
    Answer(usize, anyhow::Result<ProduceResponse>),
    Late,
    Batch,
    Rested,
}

impl Producer {
    /// The producer `index` of the run.
    pub fn new(
        clients: Clients,
        plan: ProducerPlan,
        manner: Manner,
        index: u32,
        clock: VirtualClock,
        dice: Dice,
    ) -> Self {
        Self {
            version: dice.pick(&[3, 7, 9, 11]),
            left: plan.batches,
            manner,
            left_behind: Vec::new(),
            drains: false,
            first_number: index * GENERATIONS_MAX,
            generation: 0,
            identity: (plan.promise != Promise::Idempotent).then_some(Identity::PLAIN),
            sequences: BTreeMap::new(),
            firsts: BTreeMap::new(),
            numbers: BTreeMap::new(),
            pending: Pending::default(),
            connection: None,
            process: None,
            flights: VecDeque::new(),
            next_batch_at: Instant::now(),
            rest_until: Instant::now(),
            clients,
            plan,
            clock,
            dice,
        }
    }

    /// Produces until every batch is acked or given up. Returns the numbers it has in the ledger.
    pub async fn run(mut self) -> std::ops::RangeInclusive<u32> {
        loop {
            self.expire();
            if self.drains && self.flights.is_empty() {
                self.take_next_epoch();
            }
            self.send_what_may_go().await;
            let idle = self.flights.is_empty() && self.pending.is_empty();
            if idle && self.left == 0 {
                return self.first_number..=self.number();
            }
            match self.wait().await {
                Woken::Answer(at, Ok(response)) => self.answered(at, &response),
                Woken::Answer(_, Err(error)) => self.lose_connection(&format!("{error:#}")),
                Woken::Late => self.lose_connection("no answer in time"),
                Woken::Batch => self.make_batch(),
                Woken::Rested => {}
            }
        }
    }

    fn number(&self) -> u32 {
        self.first_number + self.generation
    }

    async fn wait(&mut self) -> Woken {
        let expiry = self.next_expiry();
        let late = self.flights.front().map(|flight| flight.deadline);
        let answer = first_answer(&mut self.flights);
        let rests = !self.pending.is_empty() && self.rest_until > Instant::now();
        let rested = match (rests, expiry) {
            (true, Some(expiry)) => Some(self.rest_until.min(expiry)),
            (true, None) => Some(self.rest_until),
            (false, expiry) => expiry,
        };
        tokio::select! {
            biased;
            (at, answer) = answer => Woken::Answer(at, answer),
            () = at(late) => Woken::Late,
            () = at((self.left > 0).then_some(self.next_batch_at)) => Woken::Batch,
            () = at(rested) => Woken::Rested,
        }
    }

    fn make_batch(&mut self) {
        let (topic, index) = self.dice.pick(&self.plan.partitions);
        let partition = (Arc::clone(&self.clients.topics[topic]), index);
        let now = Instant::now();
        self.pending.make(partition, now);
        self.left -= 1;
        self.next_batch_at = now + self.dice.ms(self.plan.pause_ms.clone());
        if self.manner == Manner::Librdkafka
            && self.plan.roams
            && self.plan.promise == Promise::Idempotent
            && self.dice.chance(MOVES_PERMILLE)
        {
            self.move_on();
        }
    }

    /// What is made from now on goes to another agent, as if the partition had a new leader. What is in flight stays there.
    fn move_on(&mut self) {
        if !self.flights.is_empty() {
            self.clients.scribe.count("producer moved with requests in flight");
            self.left_behind.extend(self.connection.take());
        }
    }

    async fn send_what_may_go(&mut self) {
        while !self.drains
            && self.flights.len() < self.plan.in_flight
            && !self.pending.is_empty()
            && self.rest_until <= Instant::now()
        {
            if self.connection.is_none()
                && let Err(error) = self.connect().await
            {
                self.lose_connection(&format!("{error:#}"));
                return;
            }
            let taken = self.pending.take(BATCHES_PER_REQUEST_MAX);
            if taken.is_empty() {
                return;
            }
            let batches = taken.into_iter().map(|(partition, next)| self.batch(partition, next));
            let batches: Vec<Sent> = batches.collect();
            if let Err(error) = self.send(batches).await {
                self.lose_connection(&format!("{error:#}"));
            }
        }
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        let host = if self.plan.roams {
            self.clients.any_host(&self.dice)
        } else {
            let (topic, index) = self.plan.partitions[0];
            let partition = (Arc::clone(&self.clients.topics[topic]), index);
            self.clients.leader(&partition, &self.dice).await?
        };
        let (mut connection, process) = Connection::open(&self.clients.network, &host).await?;
        if self.identity.is_none() {
            self.identity = Some(new_identity(&mut connection).await?);
        }
        let moved = self.process.as_ref().is_some_and(|before| *before != process);
        if moved && self.plan.promise == Promise::Durable {
            self.begin_generation();
        }
        self.process = Some(process);
        self.connection = Some(connection);
        Ok(())
    }

    fn begin_generation(&mut self) {
        self.generation += 1;
        self.firsts.clear();
        self.sequences.clear();
    }

    fn batch(&mut self, partition: Partition, next: Next) -> Sent {
        let made_at = match next {
            Next::Again(sent) => return sent,
            Next::Fresh(made_at) => made_at,
        };
        let count = self.dice.between(self.plan.records.clone());
        let recipe = Recipe {
            producer: self.number(),
            first: take(&mut self.firsts, &partition, count),
            count,
            value_bytes: usize::try_from(self.dice.between(self.plan.value_bytes.clone())).expect("small"),
            noise: self.dice.bits(),
            partition: partition.clone(),
        };
        let identity = self.identity.expect("it was drawn when the connection was made");
        let base_sequence = match identity {
            Identity::PLAIN => NO_SEQUENCE,
            _ => take(
                &mut self.sequences,
                &partition,
                i32::try_from(count).expect("few records"),
            ),
        };
        let records = recipe.records();
        let mut ledger = self.clients.ledger();
        for (name, record) in &records {
            ledger.sent(*name, record.checksum);
        }
        drop(ledger);
        self.clients.scribe.add("records sent", count);
        Sent {
            bytes: encode(&records, identity, base_sequence, self.clock.now().0),
            producer: recipe.producer,
            first: recipe.first,
            number: take(&mut self.numbers, &partition, 1),
            partition,
            count,
            base_sequence,
            made_at,
            tries: 0,
        }
    }

    async fn send(&mut self, mut batches: Vec<Sent>) -> anyhow::Result<()> {
        for batch in &mut batches {
            batch.tries += 1;
            self.pending.began(batch);
            if batch.tries > 1 {
                self.clients.scribe.count("batches sent again");
                batch.names().for_each(|name| self.clients.note_resent(name));
            }
        }
        let request = self.request(&batches);
        let deadline = Instant::now() + self.plan.request_timeout;
        let connection = self.connection.as_mut().context("not connected")?;
        let sent = tokio::time::timeout(self.plan.request_timeout, connection.send(&request, self.version)).await;
        match sent {
            Ok(Ok(answer)) => {
                self.flights.push_back(Flight {
                    answer,
                    batches,
                    deadline,
                });
                Ok(())
            }
            Ok(Err(error)) => {
                self.undecided(batches, "not sent whole");
                Err(error)
            }
            Err(late) => {
                self.undecided(batches, "not sent in time");
                Err(late.into())
            }
        }
    }

    fn request(&self, batches: &[Sent]) -> ProduceRequest {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for batch in batches {
            let data = PartitionProduceData::default()
                .with_index(batch.partition.1)
                .with_records(Some(batch.bytes.clone()));
            let name = topic_name(&batch.partition.0);
            match topics.iter_mut().find(|topic| topic.name == name) {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(
                    TopicProduceData::default()
                        .with_name(name)
                        .with_partition_data(vec![data]),
                ),
            }
        }
        ProduceRequest::default()
            .with_acks(if self.plan.promise == Promise::Durable { 1 } else { -1 })
            .with_timeout_ms(self.plan.timeout_ms)
            .with_topic_data(topics)
    }

    fn answered(&mut self, at: usize, response: &ProduceResponse) {
        let Some(flight) = self.flights.remove(at) else { return };
        if self.flights.is_empty() {
            self.left_behind.clear();
        }
        let mut elsewhere = false;
        for batch in flight.batches {
            self.pending.ended(&batch);
            match outcome(response, &batch.partition) {
                Some((code, offset)) => elsewhere |= self.decide(batch, code, offset),
                None => {
                    let (topic, index) = &batch.partition;
                    self.clients
                        .scribe
                        .violation(format_args!("an answer without {topic}/{index}"));
                    self.fail(&batch, "no answer");
                }
            }
        }
        if elsewhere {
            self.lose_connection("told to look elsewhere");
        }
    }

    /// Reacts to what was said of one batch; true: another agent has to be found.
    fn decide(&mut self, batch: Sent, code: i16, offset: i64) -> bool {
        let idempotent = self.plan.promise == Promise::Idempotent;
        match reaction(code) {
            Reaction::Acked => self.acked(&batch, offset),
            Reaction::AckedSomewhere if idempotent => {
                let sent_after = self.numbers[&batch.partition] - 1 - batch.number;
                if sent_after < PRODUCER_BATCHES_REMEMBERED as u64 {
                    self.wrong(
                        &batch,
                        "was answered as a duplicate without its offset, though it is one of the last five",
                    );
                }
                self.acked(&batch, -1);
            }
            Reaction::Retry => self.undecided(vec![batch], "retriable error"),
            Reaction::RetryElsewhere => {
                self.clients.scribe.count("batches refused by an agent");
                self.undecided(vec![batch], "retriable error");
                return true;
            }
            Reaction::SequenceRefused(error) if idempotent && self.pending.follows_undecided(&batch) => {
                self.clients
                    .scribe
                    .count(&format!("{error:?} after an undecided batch"));
                self.drains |= self.manner == Manner::Librdkafka && error == ResponseError::OutOfOrderSequenceNumber;
                self.pending.retry(batch);
                self.rest();
            }
            Reaction::SequenceRefused(error) | Reaction::Fatal(error) => {
                self.wrong(
                    &batch,
                    &format!("was refused with {error:?}, though all before it is acked"),
                );
                self.fail(&batch, "refused");
                self.renew_identity();
            }
            Reaction::AckedSomewhere => {
                self.wrong(&batch, "is called a duplicate, though its producer has no id");
                self.fail(&batch, "refused");
            }
        }
        false
    }

    fn wrong(&self, batch: &Sent, what: &str) {
        let (topic, index) = &batch.partition;
        self.clients.scribe.violation(format_args!(
            "{topic}/{index}: records {}.. of producer {} (sequence {}, try {}) {what}; told by {:?}",
            batch.first, batch.producer, batch.base_sequence, batch.tries, self.process
        ));
    }

    fn acked(&mut self, batch: &Sent, offset: i64) {
        let scribe = &self.clients.scribe;
        let known = (offset >= 0).then_some(offset);
        if known.is_none() && self.plan.promise == Promise::Committed {
            self.wrong(batch, "was acked without an offset, with acks=all");
        }
        scribe.add("records acked", batch.count);
        scribe.say(format_args!(
            "acked {}/{} producer {} records {}+{} at {offset}",
            batch.partition.0, batch.partition.1, batch.producer, batch.first, batch.count
        ));
        let mut ledger = self.clients.ledger();
        for (delta, name) in (0..).zip(batch.names()) {
            ledger.acked(name, known.map(|offset| offset + delta));
        }
        drop(ledger);
        if let Some(offset) = known
            && self.dice.chance(120)
        {
            let name = batch.names().next().expect("a batch has a record");
            let key = key(name);
            let (clients, dice, partition) = (self.clients.clone(), self.dice.fork(), batch.partition.clone());
            tokio::spawn(read_your_write(clients, dice, partition, offset, key));
        }
    }

    /// Nobody knows whether the batches are there.
    fn undecided(&mut self, batches: Vec<Sent>, why: &str) {
        for batch in batches {
            self.pending.ended(&batch);
            match self.plan.promise {
                Promise::Durable => self.fail(&batch, why),
                Promise::Idempotent | Promise::Committed => self.pending.retry(batch),
            }
        }
        self.rest();
    }

    fn fail(&self, batch: &Sent, why: &str) {
        let scribe = &self.clients.scribe;
        scribe.add("records given up", batch.count);
        scribe.say(format_args!(
            "gave up {}/{} producer {} records {}+{}: {why}",
            batch.partition.0, batch.partition.1, batch.producer, batch.first, batch.count
        ));
        let mut ledger = self.clients.ledger();
        for name in batch.names() {
            ledger.failed(name, why);
        }
    }

    fn lose_connection(&mut self, why: &str) {
        let number = self.number();
        self.clients
            .scribe
            .note("producer left its connection", format_args!("{number}: {why}"));
        self.connection = None;
        self.left_behind.clear();
        let flights = std::mem::take(&mut self.flights);
        for flight in flights {
            self.undecided(flight.batches, why);
        }
        self.rest();
    }

    fn rest(&mut self) {
        self.rest_until = Instant::now() + rest(&self.dice);
    }

    fn next_expiry(&self) -> Option<Instant> {
        let timeout = self.plan.delivery_timeout?;
        let in_flight = self
            .flights
            .iter()
            .flat_map(|flight| &flight.batches)
            .map(|batch| batch.made_at);
        let oldest = in_flight.chain(self.pending.oldest_again()).min()?;
        Some(oldest + timeout)
    }

    /// Gives up what is older than the delivery timeout. An idempotent producer then has a gap, and begins anew.
    fn expire(&mut self) {
        let Some(timeout) = self.plan.delivery_timeout else {
            return;
        };
        let now = Instant::now();
        self.pending
            .forget_fresh_before(now.checked_sub(timeout).unwrap_or(now));
        if self.next_expiry().is_none_or(|expiry| expiry > now) {
            return;
        }
        self.clients.scribe.count("delivery timed out");
        self.lose_connection("delivery timed out");
        for batch in self.pending.give_up_sent() {
            self.fail(&batch, "delivery timed out");
        }
        self.renew_identity();
    }

    /// The next epoch, for all that is not acked and all that follows.
    fn take_next_epoch(&mut self) {
        self.drains = false;
        let Some(identity) = &mut self.identity else { return };
        identity.epoch += 1;
        let identity = *identity;
        self.sequences.clear();
        for batch in self.pending.sent_mut() {
            let count = i32::try_from(batch.count).expect("few records");
            let base_sequence = take(&mut self.sequences, &batch.partition, count);
            batch.renumber(identity, base_sequence);
        }
        self.clients.scribe.count("producer took the next epoch at a gap");
    }

    fn renew_identity(&mut self) {
        if self.plan.promise != Promise::Idempotent {
            return;
        }
        self.lose_connection("producer id given up");
        for batch in self.pending.give_up_sent() {
            self.fail(&batch, "producer id given up");
        }
        self.begin_generation();
        self.drains = false;
        self.identity = match self.identity {
            // The Java client bumps the epoch by itself (KIP-360); a new id is what an application's restart gives.
            Some(identity) if self.dice.chance(500) => Some(Identity {
                epoch: identity.epoch + 1,
                ..identity
            }),
            _ => None,
        };
        self.clients.scribe.count("producer began anew");
    }
}

async fn new_identity(connection: &mut Connection) -> anyhow::Result<Identity> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let response = connection.call(&request, INIT_PRODUCER_ID_VERSION, PATIENCE).await?;
    ensure!(
        response.error_code == 0,
        "no producer id: error {}",
        response.error_code
    );
    Ok(Identity {
        id: response.producer_id.0,
        epoch: response.producer_epoch,
    })
}

/// Error code and base offset of a partition.
fn outcome(response: &ProduceResponse, partition: &Partition) -> Option<(i16, i64)> {
    let topic = response.responses.iter().find(|topic| **topic.name == *partition.0)?;
    let partitions = &topic.partition_responses;
    let found = partitions.iter().find(|found| found.index == partition.1)?;
    Some((found.error_code, found.base_offset))
}

/// Takes `count` of the numbers of `partition`; returns the first.
fn take<N: Copy + Default + std::ops::AddAssign>(
    next: &mut BTreeMap<Partition, N>,
    partition: &Partition,
    count: N,
) -> N {
    let next = next.entry(partition.clone()).or_default();
    let first = *next;
    *next += count;
    first
}

/// The first answer that is there, and to which of the requests.
async fn first_answer(flights: &mut VecDeque<Flight>) -> (usize, anyhow::Result<ProduceResponse>) {
    if flights.is_empty() {
        return std::future::pending().await;
    }
    let answers = flights.iter_mut().map(|flight| Box::pin(flight.answer.received()));
    let (answer, at, _) = futures::future::select_all(answers).await;
    (at, answer)
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
