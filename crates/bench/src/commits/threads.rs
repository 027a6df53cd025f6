//! Workers with a thread each, and what they do there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::latency::Latencies;
use crate::schedule::Schedule;

/// Lets `workers` take turns, so many times a second in all, each of them with one piece of work at a time. What is told is the
/// time from when a piece was due to its end; what `prepare` makes of it comes before. They have threads because the timers of the
/// runtime are a millisecond coarse.
pub(super) fn open_loop<W: Send, P>(
    workers: &mut [W],
    per_s: f64,
    duration: Duration,
    prepare: impl Fn(&mut W) -> Result<P> + Sync,
    work: impl Fn(&mut W, P) -> Result<()> + Sync,
) -> Result<Latencies> {
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
            let prepared = prepare(worker)?;
            thread::sleep(due.saturating_sub(start.elapsed()));
            work(worker, prepared)?;
            latencies.record(start.elapsed().saturating_sub(due));
            schedule.advance();
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

    #[test]
    fn a_stall_is_seen_by_all_that_had_to_wait_for_its_end() {
        let take = |first: &mut bool| Ok(std::mem::take(first));
        let told = open_loop(&mut [true], 100.0, Duration::from_millis(200), take, |_, is_first| {
            if is_first {
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
