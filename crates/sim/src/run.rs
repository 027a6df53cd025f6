//! One run: its parts put together, its load, its faults, its healing, its judgement.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use metastore::memory::Calm;
use metastore::{NewTopic, TopicSettings};
use oracle::MemoryLedger;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use types::TopicName;

use crate::client::producer::Producer;
use crate::client::{Clients, tail};
use crate::fleet::Fleet;
use crate::function::{Function, deliver, sweep_on_schedule};
use crate::judge;
use crate::network::Network;
use crate::plan::{Plan, Promise};
use crate::random::Dice;
use crate::scribe::Scribe;
use crate::services::Services;
use crate::strikes::{Targets, strike_all};

/// How long producers may take after everything is healed.
const PRODUCERS_PATIENCE: Duration = Duration::from_secs(120);
/// How long every fate may take to be known after that.
const QUIET_PATIENCE: Duration = Duration::from_secs(60);
/// How long the orderly end of all agents may take.
const STOP_PATIENCE: Duration = Duration::from_secs(40);

/// A run in progress.
struct Run {
    plan: Plan,
    scribe: Scribe,
    services: Arc<Services>,
    function: Arc<Function>,
    network: Arc<Network>,
    fleet: Arc<Fleet>,
    clients: Clients,
    dice: Dice,
}

/// Lives through the run of `plan`, and writes everything down. To be called inside a runtime whose time is paused.
pub async fn live_through(plan: Plan, scribe: Scribe) {
    if let Err(error) = try_live_through(plan, &scribe).await {
        scribe.violation(format_args!("{error:#}"));
    }
}

async fn try_live_through(plan: Plan, scribe: &Scribe) -> anyhow::Result<()> {
    let run = Run::set_up(plan, scribe.clone()).await?;
    let background = run.start_background();
    let mut producers = run.start_producers();
    let strikes = tokio::spawn(strike_all(run.plan.clone(), run.targets()));
    sleep(run.plan.load).await;
    strikes.abort();
    run.heal();

    let idempotent = run.await_producers(&mut producers).await?;
    run.await_quiet(false).await?;
    run.read_everything().await?;
    background.iter().for_each(AbortHandle::abort);
    run.stop_agents().await?;
    run.await_quiet(true).await?;
    run.judge(&idempotent).await
}

impl Run {
    async fn set_up(plan: Plan, scribe: Scribe) -> anyhow::Result<Self> {
        scribe.say(format_args!("{plan:?}"));
        let seed = plan.seed;
        let services = Arc::new(Services::start(&plan, scribe.clone()));
        let function = Arc::new(Function::new(
            Arc::clone(&services),
            plan.function_instances,
            plan.graces(),
            plan.faults.crash_permille,
            Dice::new(seed, "function"),
        ));
        let delays = plan.network_delays.clone();
        let network = Network::new(
            delays,
            plan.faults.cut_permille,
            Dice::new(seed, "network"),
            scribe.clone(),
        );
        let network = Arc::new(network);
        let fleet = Fleet::new(
            &plan,
            Arc::clone(&services),
            Arc::clone(&network),
            Arc::clone(&function),
        );
        let topics: Vec<Arc<str>> = (0..plan.topics.len())
            .map(|index| format!("topic-{index}").into())
            .collect();
        let partitions = topics.iter().zip(&plan.topics);
        let clients = Clients {
            network: Arc::clone(&network),
            hosts: fleet.hosts(),
            partitions: partitions
                .flat_map(|(topic, count)| (0..*count).map(move |index| (Arc::clone(topic), index)))
                .collect(),
            topics,
            scribe: scribe.clone(),
            ledger: Arc::new(Mutex::new(MemoryLedger::default())),
            seen: Arc::default(),
            resent: Arc::default(),
        };
        let run = Self {
            dice: Dice::new(seed, "run"),
            plan,
            scribe,
            services,
            function,
            network,
            fleet,
            clients,
        };
        run.create_topics().await?;
        Ok(run)
    }

    async fn create_topics(&self) -> anyhow::Result<()> {
        let metastore = self.services.database.connect(Arc::new(Calm));
        let named = self.clients.topics.iter().zip(&self.plan.topics);
        let topics = named.map(|(name, partition_count)| {
            Ok(NewTopic {
                name: TopicName::new(name)?,
                partition_count: *partition_count,
                settings: TopicSettings::default(),
            })
        });
        let topics: Vec<NewTopic> = topics.collect::<anyhow::Result<_>>()?;
        metastore.create_topics(&topics).await?;
        Ok(())
    }

    fn targets(&self) -> Targets {
        Targets {
            services: Arc::clone(&self.services),
            fleet: Arc::clone(&self.fleet),
            function: Arc::clone(&self.function),
        }
    }

    /// Agents, deliveries, the sweep and the tails; returns what is to be ended before the agents stop.
    fn start_background(&self) -> Vec<AbortHandle> {
        for index in 0..self.plan.agents.len() {
            self.fleet.start(index);
        }
        for _ in 0..self.plan.function_instances {
            tokio::spawn(deliver(Arc::clone(&self.function)));
        }
        let (pause, doubled) = (self.plan.sweep_pause_ms.clone(), self.plan.sweep_doubled_permille);
        tokio::spawn(sweep_on_schedule(Arc::clone(&self.function), pause, doubled));
        (0..self.plan.tails)
            .map(|_| tokio::spawn(tail::follow(self.clients.clone(), self.dice.fork())).abort_handle())
            .collect()
    }

    fn start_producers(&self) -> JoinSet<(Promise, std::ops::RangeInclusive<u32>)> {
        let mut producers = JoinSet::new();
        for (index, plan) in (0..).zip(self.plan.producers.clone()) {
            let promise = plan.promise;
            let producer = Producer::new(
                self.clients.clone(),
                plan,
                self.plan.manner,
                index,
                self.services.clock,
                Dice::new(self.plan.seed, &format!("producer {index}")),
            );
            producers.spawn(async move { (promise, producer.run().await) });
        }
        producers
    }

    /// From here on nothing goes wrong any more. Who is dead stays dead.
    fn heal(&self) {
        self.scribe.say("everything is healed");
        self.services.climate.heal();
        self.services.queue.heal();
        self.network.heal();
        self.function.heal();
        self.fleet.heal();
        if self.fleet.running().is_empty() {
            self.fleet.start(0);
        }
    }

    /// Waits for the last fate of the last batch; returns which producers were idempotent.
    async fn await_producers(
        &self,
        producers: &mut JoinSet<(Promise, std::ops::RangeInclusive<u32>)>,
    ) -> anyhow::Result<BTreeSet<u32>> {
        let mut idempotent = BTreeSet::new();
        let all = async {
            while let Some(done) = producers.join_next().await {
                let (promise, numbers) = done?;
                if promise == Promise::Idempotent {
                    idempotent.extend(numbers);
                }
            }
            anyhow::Ok(())
        };
        let done = timeout(PRODUCERS_PATIENCE, all).await;
        done.context("producers still wait for acks long after everything was healed")??;
        self.scribe.say("producers are done");
        Ok(idempotent)
    }

    /// Waits until nothing is left to be done.
    async fn await_quiet(&self, all_ended: bool) -> anyhow::Result<()> {
        let mut missing = None;
        let quiet = async {
            loop {
                let tables = self.services.database.tables();
                let bucket = self.services.objects.as_ref();
                missing = judge::unfinished(&tables, bucket, all_ended).await?;
                if missing.is_none() {
                    return anyhow::Ok(());
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        let waited = timeout(QUIET_PATIENCE, quiet).await;
        match waited {
            Ok(done) => done,
            Err(_) => bail!("the run does not become quiet: {}", missing.unwrap_or_default()),
        }
    }

    async fn read_everything(&self) -> anyhow::Result<()> {
        let mut last = None;
        for _ in 0..20 {
            let running = self.fleet.running();
            if !running.is_empty() {
                let host = &self.fleet.hosts()[self.dice.pick(&running)];
                match tail::read_all(&self.clients, host).await {
                    Ok(records) => {
                        self.scribe.say(format_args!("{records} records read from {host}"));
                        return Ok(());
                    }
                    Err(error) => last = Some(error),
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
        let nobody = || anyhow::anyhow!("no agent runs");
        Err(last.unwrap_or_else(nobody).context("the records cannot be read"))
    }

    /// Stops every agent that lives, in order.
    async fn stop_agents(&self) -> anyhow::Result<()> {
        self.fleet.close();
        for index in self.fleet.running() {
            self.fleet.stop(index);
        }
        let stopped = async {
            while !self.fleet.running().is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = timeout(STOP_PATIENCE, stopped).await;
        in_time.context("an agent that was told to stop does not come to its end")
    }

    async fn judge(&self, idempotent: &BTreeSet<u32>) -> anyhow::Result<()> {
        let tables = self.services.database.tables();
        let cluster = self.services.cluster;
        judge::insides(&tables, cluster, self.services.objects.as_ref(), &self.scribe).await?;
        self.services.climate.count_into(&self.scribe);
        let ledger = std::mem::take(&mut *self.clients.ledger());
        judge::clients(ledger, idempotent, &self.scribe);
        self.clients.check_sent_once();
        Ok(())
    }
}
