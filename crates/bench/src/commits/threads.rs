//! Workers with a thread each, and what they do there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::latency::Latencies;
use crate::schedule::Schedule;

/// How often there is something to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Pieces of work, of all workers.
    pub(super) per_s: f64,
    /// For so long.
    pub(super) duration: Duration,
    /// Pieces that a worker does together, where it is behind by more than one.
    pub(super) at_once: usize,
}

/// Lets `workers` take turns; each of them does what is due, and then what has become due meanwhile. What is told of each piece is the
/// time from when it was due to its end; what `prepare` makes of it comes before. They have threads because the timers of the
/// runtime are a millisecond coarse.
pub(super) fn open_loop<W: Send, P>(
    workers: &mut [W],
    load: Load,
    prepare: impl Fn(&mut W) -> Result<P> + Sync,
    work: impl Fn(&mut W, Vec<P>) -> Result<()> + Sync,
) -> Result<Latencies> {
    let Load {
        per_s,
        duration,
        at_once,
    } = load;
    let count = u32::try_from(workers.len())?;
    let start = Instant::now();
    let parts = each(workers, |index, worker| {
        let mut schedule = Schedule::new(Some(per_s), index, count);
        let mut latencies = Latencies::default();
        loop {
            let due = schedule.due(start.elapsed());
            if due >= duration {
                return Ok(latencies);
            }
            let (mut all_due, mut prepared) = (vec![due], vec![prepare(worker)?]);
            schedule.advance();
            thread::sleep(due.saturating_sub(start.elapsed()));
            while prepared.len() < at_once {
                let next = schedule.due(start.elapsed());
                if next > start.elapsed() || next >= duration {
                    break;
                }
                all_due.push(next);
                prepared.push(prepare(worker)?);
                schedule.advance();
            }
            work(worker, prepared)?;
            let ended = start.elapsed();
            all_due
                .iter()
                .for_each(|due| latencies.record(ended.saturating_sub(*due)));
        }
    })?;
    let mut all = Latencies::default();
    parts.iter().for_each(|part| all.add(part));
    Ok(all)
}

/// Lets `workers` work as fast as they can. Tells how often they did in a second, all together.
pub(super) fn closed_loop<W: Send>(
    workers: &mut [W],
    duration: Duration,
    work: impl Fn(&mut W) -> Result<()> + Sync,
) -> Result<f64> {
    let start = Instant::now();
    let times = each(workers, |_, worker| {
        // Once at least, however late its thread begins.
        let mut times = 0u32;
        loop {
            work(worker)?;
            times += 1;
            if start.elapsed() >= duration {
                return Ok(times);
            }
        }
    })?;
    // The last ones end after the time is over, and count.
    Ok(f64::from(times.iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}

fn each<W: Send, T: Send>(workers: &mut [W], work: impl Fn(u32, &mut W) -> Result<T> + Sync) -> Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let spawn = |(index, worker)| scope.spawn(move || work(index, worker));
        let running: Vec<_> = (0..).zip(workers).map(spawn).collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined
            .map(|ended| ended.unwrap_or_else(|_| Err(anyhow!("a worker panicked"))))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(at_once: usize) -> Load {
        Load {
            per_s: 100.0,
            duration: Duration::from_millis(200),
            at_once,
        }
    }

    #[test]
    fn what_became_due_during_a_stall_is_done_together_and_no_more_than_may_be() {
        let mut done = Vec::new();
        let told = open_loop(
            &mut [&mut done],
            load(4),
            |_| Ok(()),
            |done, pieces| {
                if done.is_empty() {
                    thread::sleep(Duration::from_millis(100));
                }
                done.push(pieces.len());
                Ok(())
            },
        );
        assert_eq!(told.unwrap().summary().unwrap().count, 20);
        assert_eq!((done.iter().sum::<usize>(), done[1]), (20, 4), "{done:?}");
    }

    #[test]
    fn a_stall_is_seen_by_all_that_had_to_wait_for_its_end() {
        let take = |first: &mut bool| Ok(std::mem::take(first));
        let told = open_loop(&mut [true], load(1), take, |_, is_first| {
            if is_first[0] {
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let told = told.unwrap().summary().unwrap();
        assert_eq!(told.count, 20);
        // 100 ms for the first, 90 for the second, and so on.
        assert!(told.p90_ms >= 80.0 && told.mean_ms >= 25.0, "{told:?}");
    }

    #[test]
    fn what_goes_wrong_for_one_worker_is_told() {
        let failed = closed_loop(&mut [1, 2], Duration::from_millis(5), |worker| {
            anyhow::ensure!(*worker == 1, "no");
            Ok(())
        });
        assert_eq!(failed.unwrap_err().to_string(), "no");
    }

    #[test]
    fn what_is_done_in_a_second_is_that_of_all_workers() {
        let per_s = closed_loop(&mut [(), ()], Duration::from_millis(200), |()| {
            thread::sleep(Duration::from_millis(10));
            Ok(())
        });
        let per_s = per_s.unwrap();
        assert!((100.0..=200.0).contains(&per_s), "{per_s}");
    }
}
