//! What a seed stands for: how many agents with what settings, who produces what, what goes wrong and when. Pure.

use std::ops::Range;
use std::time::Duration;

use agent::config::CommitPath;
use materializer_fn::Graces;

use crate::random::Dice;

/// How long requests of one kind take, one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Usually, in ms.
    pub usual_ms: Range<u64>,
    /// How many of 1000 take longer.
    pub slow_permille: u64,
    /// How much longer, in ms.
    pub slow_ms: Range<u64>,
}

impl Delays {
    /// The delay of one way of one request.
    pub fn draw(&self, dice: &Dice) -> Duration {
        if dice.chance(self.slow_permille) {
            dice.ms(self.slow_ms.clone())
        } else {
            dice.ms(self.usual_ms.clone())
        }
    }

    /// The same without the slow ones.
    #[must_use]
    pub fn usual(&self) -> Self {
        Self {
            slow_permille: 0,
            ..self.clone()
        }
    }
}

/// What goes wrong with events; each so many times in 1000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFaults {
    /// Never delivered.
    pub lost_permille: u64,
    /// Delivered twice.
    pub doubled_permille: u64,
    /// Delivered seconds later.
    pub late_permille: u64,
    /// Deliveries that take the newest messages first.
    pub reversed_permille: u64,
}

impl EventFaults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        lost_permille: 0,
        doubled_permille: 0,
        late_permille: 0,
        reversed_permille: 0,
    };
}

/// What goes wrong with single requests, all the time; each so many times in 1000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// S3 requests that fail before they happen.
    pub s3_failed_permille: u64,
    /// S3 requests that happen and whose answer is lost.
    pub s3_unanswered_permille: u64,
    /// S3 requests refused for good: half of them after they happened, a quarter before.
    pub s3_refused_permille: u64,
    /// Postgres statements that fail before they happen.
    pub postgres_failed_permille: u64,
    /// Postgres statements that happen and whose answer is lost.
    pub postgres_unanswered_permille: u64,
    /// Invocations that die at some await.
    pub crash_permille: u64,
    /// Connections of clients that are cut some time after they were made.
    pub cut_permille: u64,
    /// What goes wrong with events.
    pub events: EventFaults,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        s3_failed_permille: 0,
        s3_unanswered_permille: 0,
        s3_refused_permille: 0,
        postgres_failed_permille: 0,
        postgres_unanswered_permille: 0,
        crash_permille: 0,
        cut_permille: 0,
        events: EventFaults::NONE,
    };

    fn draw(dice: &Dice) -> Self {
        // Often none of a kind, sometimes a storm of it: every fault everywhere hides what each of them does alone.
        let level = |max: u64| match dice.between(0..4) {
            0 | 1 => 0,
            2 => dice.between(1..max / 4 + 2),
            _ => dice.between(max / 4 + 1..max + 2),
        };
        Self {
            s3_failed_permille: level(200),
            s3_unanswered_permille: level(200),
            s3_refused_permille: level(20),
            postgres_failed_permille: level(100),
            postgres_unanswered_permille: level(100),
            crash_permille: level(400),
            cut_permille: level(500),
            events: EventFaults {
                lost_permille: level(600),
                doubled_permille: level(500),
                late_permille: level(500),
                reversed_permille: level(800),
            },
        }
    }
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPlan {
    /// `YAKS_COMMIT_PATH`.
    pub commit_path: CommitPath,
    /// `YAKS_FLUSH_INTERVAL_MS`.
    pub flush_interval_ms: u64,
    /// `YAKS_FLUSH_BYTES`.
    pub flush_bytes: u64,
    /// `YAKS_LINGER_MS`.
    pub linger_ms: u64,
    /// `YAKS_UPLOADS_MAX`.
    pub uploads_max: u64,
    /// `YAKS_COMMIT_STALL_MS`.
    pub stall_ms: u64,
    /// `YAKS_MATERIALIZE_INTERVAL_MS`.
    pub look_ms: u64,
    /// `YAKS_MATERIALIZE_BATCH_SIZE`.
    pub commit_batches: u64,
}

/// What a producer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A producer id, acks=all, five requests in flight, retries: exactly once, in order.
    Idempotent,
    /// acks=all, one request in flight, retries: at least once, in order.
    Committed,
    /// acks=1: what is acked stays, in order as long as the producer stays on one agent. No retries.
    Durable,
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerPlan {
    /// What it asks for.
    pub promise: Promise,
    /// Batches it makes.
    pub batches: u64,
    /// Pause between two batches, in ms.
    pub pause_ms: Range<u64>,
    /// Records of a batch.
    pub records: Range<u64>,
    /// Bytes of a record's value.
    pub value_bytes: Range<u64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Partitions it writes to, by topic and index.
    pub partitions: Vec<(usize, i32)>,
    /// Whether it goes to any agent rather than to the partition's leader.
    pub roams: bool,
    /// How long a request waits for its answer.
    pub request_timeout: Duration,
    /// How long a batch is tried; `None`: until it is decided.
    pub delivery_timeout: Option<Duration>,
    /// What the request says it wants to wait at the agent.
    pub timeout_ms: i32,
}

/// Whose producer a producer behaves like, where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Refused for a gap in the sequence while what came before is not decided, it sends the same batch again, as the Java client does.
    Java,
    /// It moves to another agent while requests wait for their answers at the last, and at a gap it takes the next epoch and sends all
    /// that is not acked again, numbered from 0, as librdkafka does.
    Librdkafka,
}

/// Something that goes wrong at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strike {
    /// `kill -9`; started again after a while, or never. A silent one leaves its connections hanging, as a host that is gone does.
    Kill {
        /// Which agent.
        agent: usize,
        /// When it comes back.
        back_after: Option<Duration>,
        /// Whether nobody resets its connections.
        silent: bool,
    },
    /// SIGTERM, and started again once it has ended.
    Stop {
        /// Which agent.
        agent: usize,
    },
    /// SIGSTOP, then SIGCONT.
    Pause {
        /// Which agent.
        agent: usize,
        /// For how long.
        lasts: Duration,
    },
    /// An agent does not reach the bucket.
    NoS3 {
        /// Which agent.
        agent: usize,
        /// For how long.
        lasts: Duration,
    },
    /// An agent does not reach Postgres.
    NoPostgres {
        /// Which agent.
        agent: usize,
        /// For how long.
        lasts: Duration,
    },
    /// Clients and an agent do not reach each other.
    NoClients {
        /// Which agent.
        agent: usize,
        /// For how long.
        lasts: Duration,
    },
    /// An agent's PUTs, and nobody else's, are slow from now on.
    SlowPuts {
        /// Which agent.
        agent: usize,
        /// For how long.
        lasts: Duration,
    },
    /// An agent's PUTs, and nobody else's, fail for longer than an object is tried, and a few of them happen all the same, later.
    StuckPuts {
        /// Which agent.
        agent: usize,
        /// For how long.
        lasts: Duration,
    },
    /// S3 answers nobody but with errors.
    S3Down {
        /// For how long.
        lasts: Duration,
    },
    /// Postgres answers nobody but with errors.
    PostgresDown {
        /// For how long.
        lasts: Duration,
    },
    /// The function takes no invocations.
    FunctionDown {
        /// For how long.
        lasts: Duration,
    },
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed it comes from.
    pub seed: u64,
    /// The agents.
    pub agents: Vec<AgentPlan>,
    /// `YAKS_LEASE_TTL_MS` of all agents.
    pub lease_ttl_ms: u64,
    /// `YAKS_SWEEP_GRACE_MS`.
    pub sweep_grace_ms: i64,
    /// `YAKS_ORPHAN_GRACE_MS`.
    pub orphan_grace_ms: i64,
    /// Pause between two sweeps, in ms.
    pub sweep_pause_ms: Range<u64>,
    /// Sweeps of 1000 that meet another one.
    pub sweep_doubled_permille: u64,
    /// Most invocations at once.
    pub function_instances: usize,
    /// Partitions of each topic.
    pub topics: Vec<i32>,
    /// The producers.
    pub producers: Vec<ProducerPlan>,
    /// Consumers that tail everything.
    pub tails: usize,
    /// One way to S3 and back is twice this.
    pub s3_delays: Delays,
    /// One way to Postgres.
    pub postgres_delays: Delays,
    /// One way between clients and agents.
    pub network_delays: Delays,
    /// What goes wrong all the time, until the load ends.
    pub faults: Faults,
    /// What goes wrong when.
    pub strikes: Vec<(Duration, Strike)>,
    /// Whose clients the producers are.
    pub manner: Manner,
    /// How long the load lasts.
    pub load: Duration,
}

impl Strike {
    fn lasts(&self) -> Duration {
        match self {
            Self::Pause { lasts, .. }
            | Self::NoS3 { lasts, .. }
            | Self::NoPostgres { lasts, .. }
            | Self::NoClients { lasts, .. }
            | Self::SlowPuts { lasts, .. }
            | Self::StuckPuts { lasts, .. }
            | Self::S3Down { lasts }
            | Self::PostgresDown { lasts }
            | Self::FunctionDown { lasts } => *lasts,
            Self::Kill { .. } | Self::Stop { .. } => Duration::ZERO,
        }
    }
}

impl Plan {
    /// The plan of `seed`.
    pub fn of(seed: u64) -> Self {
        let dice = Dice::new(seed, "plan");
        let calm = dice.chance(60);
        let load = dice.ms(10_000..25_000);
        let agents: Vec<AgentPlan> = (0..dice.between(1..4)).map(|_| agent(&dice)).collect();
        let topics: Vec<i32> = (0..dice.between(1..3))
            .map(|_| i32::try_from(dice.between(1..4)).expect("small"))
            .collect();
        let producers = (0..dice.between(2..6))
            .map(|_| producer(&dice, &topics, load))
            .collect();
        let lease_ttl_ms = dice.pick(&[1000, 1500, 3000]);
        let slow = if calm { 0 } else { dice.pick(&[0, 5, 20, 60]) };
        let stuck = stuck_puts(seed, agents.len(), load).filter(|_| !calm);
        Self {
            seed,
            lease_ttl_ms,
            sweep_grace_ms: i64::try_from(lease_ttl_ms + dice.between(1..2000)).expect("small"),
            // A die of its own: the plans of seeds stay what they were.
            orphan_grace_ms: Dice::new(seed, "orphans").pick(&[200, 2000, 20_000]),
            sweep_pause_ms: dice.pick(&[300..800, 1000..3000]),
            sweep_doubled_permille: dice.pick(&[0, 200, 600]),
            function_instances: dice.index(4) + 1,
            tails: dice.index(2) + 1,
            s3_delays: Delays {
                usual_ms: dice.pick(&[2..20, 10..60, 20..200]),
                slow_permille: slow,
                slow_ms: dice.pick(&[200..2000, 1000..9000, 4000..40_000]),
            },
            postgres_delays: Delays {
                usual_ms: dice.pick(&[0..2, 1..8]),
                slow_permille: slow / 4,
                slow_ms: dice.pick(&[20..300, 500..4000]),
            },
            network_delays: Delays {
                usual_ms: dice.pick(&[0..1, 1..15]),
                slow_permille: slow / 4,
                slow_ms: 20..800,
            },
            faults: if calm { Faults::NONE } else { Faults::draw(&dice) },
            strikes: if calm {
                Vec::new()
            } else {
                let mut strikes = strikes(&dice, agents.len(), load);
                strikes.extend(stuck.clone());
                strikes.sort_by_key(|(at, _)| *at);
                strikes
            },
            agents,
            topics,
            producers,
            manner: Dice::new(seed, "manner").pick(&[Manner::Java, Manner::Librdkafka]),
            // All is healed when the load ends, and these have to stay stuck for so long.
            load: stuck.map_or(load, |(at, strike)| load.max(at + strike.lasts())),
        }
    }

    /// What the sweep waits for.
    pub fn graces(&self) -> Graces {
        Graces {
            stream_ms: self.sweep_grace_ms,
            orphan_ms: self.orphan_grace_ms,
        }
    }
}

fn agent(dice: &Dice) -> AgentPlan {
    AgentPlan {
        commit_path: dice.pick(&[
            CommitPath::Event,
            CommitPath::Event,
            CommitPath::Invoke,
            CommitPath::Inline,
        ]),
        flush_interval_ms: dice.pick(&[5, 20, 60, 250]),
        flush_bytes: dice.pick(&[1024, 4096, 5_242_880]),
        linger_ms: dice.pick(&[0, 1, 5]),
        uploads_max: dice.pick(&[1, 2, 4, 8]),
        stall_ms: dice.pick(&[100, 300, 1000, 2000]),
        look_ms: dice.pick(&[50, 100, 250]),
        commit_batches: dice.pick(&[1, 5, 1000]),
    }
}

fn producer(dice: &Dice, topics: &[i32], load: Duration) -> ProducerPlan {
    let promise = dice.pick(&[
        Promise::Idempotent,
        Promise::Idempotent,
        Promise::Committed,
        Promise::Durable,
    ]);
    let batches = dice.between(15..60);
    let pause = u64::try_from(load.as_millis()).unwrap_or(u64::MAX) / batches;
    let all: Vec<(usize, i32)> = (0..topics.len())
        .flat_map(|topic| (0..topics[topic]).map(move |index| (topic, index)))
        .collect();
    let partitions = (0..dice.between(1..4)).map(|_| dice.pick(&all)).collect();
    ProducerPlan {
        promise,
        batches,
        pause_ms: pause / 2..pause * 3 / 2 + 1,
        records: dice.pick(&[1..2, 1..6]),
        value_bytes: dice.pick(&[100..101, 100..400]),
        in_flight: match promise {
            Promise::Committed => 1,
            Promise::Idempotent | Promise::Durable => dice.pick(&[1, 5, 5]),
        },
        partitions,
        roams: dice.chance(400),
        request_timeout: dice.ms(1500..6000),
        delivery_timeout: dice.chance(250).then(|| dice.ms(6000..15_000)),
        timeout_ms: dice.pick(&[500, 1500, 5000]),
    }
}

fn strikes(dice: &Dice, agents: usize, load: Duration) -> Vec<(Duration, Strike)> {
    let load_ms = u64::try_from(load.as_millis()).unwrap_or(u64::MAX);
    let mut strikes: Vec<(Duration, Strike)> = (0..dice.between(0..7))
        .map(|_| (dice.ms(500..load_ms), strike(dice, agents)))
        .collect();
    strikes.sort_by_key(|(at, _)| *at);
    strikes
}

/// In one run of eight. A die of its own: the plans of the other seeds stay what they were.
fn stuck_puts(seed: u64, agents: usize, load: Duration) -> Option<(Duration, Strike)> {
    let dice = Dice::new(seed, "stuck PUTs");
    let load_ms = u64::try_from(load.as_millis()).unwrap_or(u64::MAX);
    dice.chance(125).then(|| {
        let strike = Strike::StuckPuts {
            agent: dice.index(agents),
            lasts: dice.ms(36_000..45_000),
        };
        (dice.ms(500..load_ms), strike)
    })
}

fn strike(dice: &Dice, agents: usize) -> Strike {
    let agent = dice.index(agents);
    let lasts = if dice.chance(500) {
        dice.ms(100..2500)
    } else {
        dice.ms(2500..12_000)
    };
    match dice.between(0..12) {
        0..3 => Strike::Kill {
            agent,
            back_after: dice.chance(700).then(|| dice.ms(50..6000)),
            silent: dice.chance(400),
        },
        3 => Strike::Stop { agent },
        4 | 5 => Strike::Pause { agent, lasts },
        6 => Strike::NoS3 { agent, lasts },
        7 => Strike::NoPostgres { agent, lasts },
        8 => Strike::NoClients { agent, lasts },
        9 => Strike::S3Down {
            // Sometimes longer than an object is tried.
            lasts: if dice.chance(200) {
                dice.ms(31_000..45_000)
            } else {
                lasts
            },
        },
        10 => Strike::PostgresDown { lasts },
        _ => match dice.between(0..2) {
            0 => Strike::SlowPuts { agent, lasts },
            _ => Strike::FunctionDown { lasts },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_stands_for_the_same_plan() {
        assert_eq!(Plan::of(7), Plan::of(7));
        assert_ne!(Plan::of(7), Plan::of(8));
    }

    #[test]
    fn plans_differ_in_everything_that_matters() {
        let plans: Vec<Plan> = (0..300).map(Plan::of).collect();
        for agents in 1..4 {
            assert!(plans.iter().any(|plan| plan.agents.len() == agents));
        }
        assert!(
            plans
                .iter()
                .any(|plan| plan.faults == Faults::NONE && plan.strikes.is_empty())
        );
        assert!(plans.iter().any(|plan| plan.strikes.len() > 4));
        for path in [CommitPath::Event, CommitPath::Invoke, CommitPath::Inline] {
            let mut agents = plans.iter().flat_map(|plan| &plan.agents);
            assert!(agents.any(|agent| agent.commit_path == path));
        }
    }
}
