//! What happens in one history, drawn from its seed: objects of several streams, and how their footers reach the
//! committers. What Postgres makes of it is not decided here: committers run at once.

use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use crate::producers::Producers;

/// Most slots of one history.
const SLOTS_MAX: usize = 30;

/// Length of the pauses between phases is a multiple of this; real time within a history is far below it.
pub(crate) const PAUSE_UNIT_MS: i64 = 20 * 60 * 1000;

/// A producer is forgotten after two and a half such units.
pub(crate) const EXPIRY_MS: i64 = 5 * PAUSE_UNIT_MS / 2;

/// One history. Topics, streams and slots are named by their places.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Partitions of each topic.
    pub(crate) topics: Vec<i32>,
    pub(crate) streams: usize,
    /// By stream and position.
    pub(crate) slots: Vec<PlannedSlot>,
    pub(crate) phases: Vec<Phase>,
}

/// An object in a slot.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSlot {
    pub(crate) stream: usize,
    pub(crate) seq: u64,
    pub(crate) tombstone: bool,
    pub(crate) batches: Vec<PlannedBatch>,
    pub(crate) put: Put,
    /// How often its footer is delivered.
    pub(crate) deliveries: usize,
}

/// When an object gets into the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    AtStart,
    /// When a committer comes to the step.
    Later,
    /// Whoever meets the hole finds nothing; only its own delivery can commit it.
    Never,
}

/// A batch; producer, epoch and sequence are -1 for a plain one.
#[derive(Clone, Debug)]
pub(crate) struct PlannedBatch {
    pub(crate) topic: usize,
    pub(crate) partition: i32,
    pub(crate) count: u64,
    pub(crate) timestamp: i64,
    pub(crate) producer: (i64, i16, i32),
}

/// What several committers do at once, and how long all is quiet afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) committers: Vec<Vec<Step>>,
    /// Connections killed meanwhile.
    pub(crate) kills: usize,
    pub(crate) pause_units: i64,
}

/// What one committer does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(usize),
    Deliver { slots: Vec<usize>, fault: Fault },
    DeleteTopic(usize),
}

/// What befalls a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The transaction happens, nobody hears of it, and it is tried again.
    AnswerLost,
    /// The committer dies after so many steps of its future: at once, or when the next answer arrives.
    CutOff {
        polls: u32,
        at_once: bool,
    },
}

impl PlannedSlot {
    /// Whether anybody can ever commit it.
    pub(crate) fn is_reachable(&self) -> bool {
        self.deliveries > 0 || self.put != Put::Never
    }
}

impl History {
    pub(crate) fn of(seed: u64) -> Self {
        let random = &mut StdRng::seed_from_u64(seed);
        let topics: Vec<i32> = (0..random.random_range(1..=2))
            .map(|_| random.random_range(1..=3))
            .collect();
        let streams = random.random_range(1..=4);
        let slots = plan_slots(random, &topics, streams);
        let phases = plan_phases(random, &slots, topics.len());
        Self {
            topics,
            streams,
            slots,
            phases,
        }
    }
}

fn plan_slots(random: &mut StdRng, topics: &[i32], streams: usize) -> Vec<PlannedSlot> {
    let mut producers = Producers::new(random.random_range(0..=3), streams);
    let mut slots = Vec::new();
    for stream in 0..streams {
        let count = random.random_range(1..=SLOTS_MAX / streams) as u64;
        let end = random.random_bool(0.5).then(|| random.random_range(0..count));
        for seq in 0..count {
            let tombstone = end == Some(seq);
            let batches = if tombstone { 0 } else { random.random_range(0..=4) };
            slots.push(PlannedSlot {
                stream,
                seq,
                tombstone,
                batches: (0..batches).map(|_| producers.batch(random, topics, stream)).collect(),
                put: *[Put::AtStart, Put::AtStart, Put::Later, Put::Never]
                    .choose(random)
                    .expect("four"),
                deliveries: *[0, 1, 1, 1, 1, 2, 2, 3].choose(random).expect("eight"),
            });
        }
    }
    slots
}

fn plan_phases(random: &mut StdRng, slots: &[PlannedSlot], topics: usize) -> Vec<Phase> {
    let mut phases: Vec<Phase> = (0..random.random_range(1..=3))
        .map(|_| Phase {
            committers: vec![Vec::new(); random.random_range(1..=4)],
            kills: if random.random_bool(0.25) { 2 } else { 0 },
            pause_units: random.random_range(0..=3),
        })
        .collect();
    let count = phases.len();
    for (n, step) in plan_steps(random, slots, topics).into_iter().enumerate() {
        // Roughly in the order of the steps, so that phases matter and yet anything may be late.
        let near = n * count / slots.len().max(1);
        let phase = if random.random_bool(0.8) {
            near.min(count - 1)
        } else {
            random.random_range(0..count)
        };
        phases[phase]
            .committers
            .choose_mut(random)
            .expect("at least one")
            .push(step);
    }
    phases
}

fn plan_steps(random: &mut StdRng, slots: &[PlannedSlot], topics: usize) -> Vec<Step> {
    let mut deliveries: Vec<usize> = slots
        .iter()
        .enumerate()
        .flat_map(|(n, slot)| vec![n; slot.deliveries])
        .collect();
    match random.random_range(0..4) {
        0 => deliveries.reverse(),
        1 => deliveries.sort_by_key(|n| slots[*n].seq),
        _ => deliveries.shuffle(random),
    }
    let mut steps = Vec::new();
    while !deliveries.is_empty() {
        let taken = random.random_range(1..=4).min(deliveries.len());
        steps.push(Step::Deliver {
            slots: deliveries.drain(..taken).collect(),
            fault: plan_fault(random),
        });
    }
    let late = slots.iter().enumerate().filter(|(_, slot)| slot.put == Put::Later);
    for (n, _) in late {
        steps.insert(random.random_range(0..=steps.len()), Step::Put(n));
    }
    if random.random_bool(0.2) {
        let topic = random.random_range(0..topics);
        steps.insert(random.random_range(0..=steps.len()), Step::DeleteTopic(topic));
    }
    steps
}

fn plan_fault(random: &mut StdRng) -> Fault {
    match random.random_range(0..10) {
        0 => Fault::AnswerLost,
        1..=3 => Fault::CutOff {
            polls: random.random_range(1..=30),
            at_once: random.random_bool(0.5),
        },
        _ => Fault::None,
    }
}
