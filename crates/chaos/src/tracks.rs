//! The schedule: every track brings its faults about in turn, in a seeded order, until the time is up and each has come.

use std::time::Duration;

use dev_stack::Stack;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::census::Census;
use crate::dice::Dice;
use crate::fault::Track;
use crate::load::{Load, so_far};
use crate::say::Diary;
use crate::strike::{start_agent, strike};

/// What the tracks need, and where they leave what they saw.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) loads: &'a [Load],
    pub(crate) census: &'a Census,
    pub(crate) diary: &'a Diary,
    /// The load lasts at least until here.
    pub(crate) until: Instant,
    /// And no longer than this, whatever has not come.
    pub(crate) at_most: Instant,
}

/// Runs all tracks to their end; each heals what it has done.
pub(crate) async fn run(scene: &Scene<'_>, seed: u64) {
    let dice = Dice::new(seed);
    let tracks = Track::ALL.into_iter().map(|track| run_track(scene, track, dice.fork()));
    tokio::select! {
        biased;
        _ = join_all(tracks) => {}
        never = watch(scene) => match never {},
    }
}

async fn run_track(scene: &Scene<'_>, track: Track, dice: Dice) {
    let (peace_min, peace_max) = track.peace_s();
    loop {
        for fault in dice.shuffled(track.faults()) {
            sleep(dice.seconds(peace_min, peace_max)).await;
            if scene.is_over(track) {
                return;
            }
            let (before, began) = (so_far(scene.loads), Instant::now());
            match strike(scene.stack, fault, &dice).await {
                Ok(hits) => {
                    let (after, seconds) = (so_far(scene.loads), began.elapsed().as_secs_f64());
                    scene.census.add(fault, hits, before, after, seconds);
                    let acked = after.acked - before.acked;
                    let in_flight = before.in_flight();
                    scene.diary.note(format!(
                        "{}: {hits} hits in {seconds:.1} s, {in_flight} records in flight, {acked} acked meanwhile",
                        fault.name()
                    ));
                }
                Err(error) => scene.diary.violation(format!("{}: {error:#}", fault.name())),
            }
        }
    }
}

impl Scene<'_> {
    fn is_over(&self, track: Track) -> bool {
        let now = Instant::now();
        now >= self.at_most || (now >= self.until && self.census.missing(&track.faults()).is_empty())
    }
}

/// Nothing may end by itself; what did is written down and started again.
async fn watch(scene: &Scene<'_>) -> std::convert::Infallible {
    loop {
        let death = scene.stack.died().await;
        scene
            .diary
            .violation(format!("{} ended by itself ({})", death.part, death.how));
        let number = death.part.rsplit_once('-').and_then(|(_, n)| n.parse().ok());
        let started = match (death.part.split('-').next(), number) {
            (Some("agent"), Some(n)) => start_agent(scene.stack, n).await.map(drop),
            (Some("sidecar"), Some(n)) => scene.stack.start_sidecar(n).await,
            _ => Ok(()),
        };
        if let Err(error) = started {
            scene
                .diary
                .violation(format!("{} cannot be started again: {error:#}", death.part));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
