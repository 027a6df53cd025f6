//! When records are to be sent, whatever becomes of those before them. Pure.

use std::time::Duration;

/// The send times of one of several producers that share a rate.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Between two records of this producer; `None` is as fast as it goes.
    interval_s: Option<f64>,
    first_s: f64,
    sent: u64,
}

impl Schedule {
    /// The times of producer `index` of `producers` that send `records_per_s` together, one after the other.
    pub fn new(records_per_s: Option<f64>, index: u32, producers: u32) -> Self {
        let interval_s = records_per_s.map(|rate| f64::from(producers) / rate);
        Self {
            interval_s,
            first_s: interval_s.unwrap_or_default() * f64::from(index) / f64::from(producers),
            sent: 0,
        }
    }

    /// When the next record is due, from the start on: `now` where there is no rate.
    pub fn due(&self, now: Duration) -> Duration {
        match self.interval_s {
            None => now,
            Some(interval_s) => Duration::from_secs_f64(self.first_s + interval_s * self.sent as f64),
        }
    }

    /// The record that was due has been sent.
    pub fn advance(&mut self) {
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_record_keeps_its_time_and_so_do_those_after_it() {
        let mut schedule = Schedule::new(Some(10.0), 0, 1);
        let stalled = Duration::from_secs(5);
        let due: Vec<u128> = (0..3)
            .map(|_| {
                let due = schedule.due(stalled).as_millis();
                schedule.advance();
                due
            })
            .collect();
        assert_eq!(due, [0, 100, 200]);
    }

    #[test]
    fn producers_take_turns() {
        let first = |index| Schedule::new(Some(10.0), index, 4).due(Duration::ZERO).as_millis();
        assert_eq!([0, 1, 2, 3].map(first), [0, 100, 200, 300]);
        let mut one = Schedule::new(Some(10.0), 1, 4);
        one.advance();
        assert_eq!(one.due(Duration::ZERO).as_millis(), 500);
    }

    #[test]
    fn without_a_rate_it_is_always_time() {
        let mut schedule = Schedule::new(None, 3, 4);
        schedule.advance();
        assert_eq!(schedule.due(Duration::from_secs(9)), Duration::from_secs(9));
    }
}
