//! Many seeds on all cores, or one seed with its transcript.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sim::logs::Logs;
use sim::scribe::Pages;
use sim::simulate;
use types::{Entropy, SystemEntropy};

use crate::report::{Report, repeat_with, say};

/// How often the progress line is written.
const PROGRESS: Duration = Duration::from_secs(5);

/// Real time after which a run is taken for one that never ends: somewhere a task never yields, and virtual time stands still.
const RUN_MAX: Duration = Duration::from_secs(90);

/// Command line of `yaks-sim`.
#[derive(Debug, Parser)]
#[command(
    name = "yaks-sim",
    version = types::version(),
    about = "Runs a whole cluster in virtual time, makes things go wrong, and lets the oracle judge"
)]
pub(crate) struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them; without it, a fresh one.
    #[arg(long)]
    from: Option<u64>,
    /// One seed only, with its transcript.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Put into the transcript everything that agents and function log.
    #[arg(long)]
    verbose: bool,
    /// Live through every seed twice, and compare.
    #[arg(long)]
    twice: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
    /// Runs at a time; without it, one per core.
    #[arg(long)]
    jobs: Option<usize>,
}

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.seed {
        Some(seed) => one(seed, arguments.verbose),
        None => many(arguments),
    }
}

fn one(seed: u64, verbose: bool) -> ExitCode {
    let logs = if verbose { Logs::Debug } else { Logs::Info };
    let pages = simulate(seed, logs);
    for line in &pages.transcript {
        say(line);
    }
    let mut report = Report::default();
    report.add(seed, &pages);
    report.finish()
}

fn many(arguments: &Arguments) -> ExitCode {
    // Small enough to be typed.
    let from = arguments
        .from
        .unwrap_or_else(|| SystemEntropy.next_u64() % 1_000_000_000);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = Shared {
        next: AtomicU64::new(from),
        end: from + arguments.seeds,
        failed: AtomicBool::new(false),
        keep_going: arguments.keep_going,
        twice: arguments.twice,
        running: Mutex::default(),
    };
    say(&format!("seeds {from}..{}", shared.end));
    let (sender, results) = channel();
    let started = Instant::now();
    let mut report = Report::default();
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(cores) {
            let (sender, shared) = (sender.clone(), &shared);
            scope.spawn(move || shared.work(&sender));
        }
        drop(sender);
        let mut told = Instant::now();
        loop {
            match results.recv_timeout(PROGRESS) {
                Ok((seed, pages)) => report.add(seed, &pages),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            shared.check_for_hangs();
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                say(&report.progress(arguments.seeds, started.elapsed()));
            }
        }
    });
    say(&report.progress(arguments.seeds, started.elapsed()));
    report.finish()
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    end: u64,
    failed: AtomicBool,
    keep_going: bool,
    twice: bool,
    /// Seeds under way, and since when.
    running: Mutex<BTreeMap<u64, Instant>>,
}

impl Shared {
    fn work(&self, results: &Sender<(u64, Pages)>) {
        while self.keep_going || !self.failed.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            self.running().insert(seed, Instant::now());
            let pages = self.one(seed);
            self.running().remove(&seed);
            if !pages.violations.is_empty() {
                self.failed.store(true, Ordering::Relaxed);
            }
            if results.send((seed, pages)).is_err() {
                return;
            }
        }
    }
    /// Ends the program when a run hangs: its thread cannot be ended.
    fn check_for_hangs(&self) {
        let running = self.running();
        if let Some((seed, _)) = running.iter().find(|(_, since)| since.elapsed() > RUN_MAX) {
            say(&format!("seed {seed} FAILED: it hangs, virtual time stands still"));
            say(&repeat_with(*seed));
            std::process::exit(1);
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, seed: u64) -> Pages {
        if !self.twice {
            return simulate(seed, Logs::None);
        }
        let (mut first, second) = (simulate(seed, Logs::Debug), simulate(seed, Logs::Debug));
        let lines = first.transcript.iter().zip(&second.transcript);
        let same = lines.take_while(|(a, b)| a == b).count();
        if same < first.transcript.len().max(second.transcript.len()) {
            first.violations.push(format!(
                "a second run of the same seed differs from line {} on: {:?} and {:?}",
                same + 1,
                first.transcript.get(same),
                second.transcript.get(same)
            ));
        }
        first
    }
}
