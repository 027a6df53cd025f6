//! What may go wrong between a client and S3, as probabilities that are set by flags and changed at run time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::watch;
use types::{Entropy, SeededEntropy};

/// A kind of request; each has probabilities of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[expect(missing_docs, reason = "the names are S3's own")]
pub enum RequestKind {
    Put,
    Get,
    Head,
    List,
    Delete,
}

/// What may become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum S3Fault {
    /// 500 or 503, and nothing happened.
    Fail,
    /// The connection is closed before anything happened.
    Reset,
    /// It happens, then the connection is closed instead of an answer.
    Lost,
    /// The connection is closed, and only later it happens. PUT and DELETE.
    Late,
    /// 503 SlowDown, and nothing happened.
    Throttle,
    /// 409 for a conditional PUT, and nothing happened.
    Conflict,
    /// The connection is closed midway through the answer's body. GET.
    Partial,
    /// It takes long; on top of the others.
    Slow,
    /// S3 cannot be reached at all, see [`Outage`]; a probability means nothing here.
    #[value(skip)]
    Outage,
}

/// S3 cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Outage {
    /// Every connection is closed at once.
    Closed,
    /// Nothing is answered until the outage is over, and then the connection is closed.
    Silent,
}

/// How often one fault is wanted, written `[operation:]fault=probability`: `lost=0.01`, `put:slow=0.2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct S3FaultRate {
    /// The kind of requests; `None` for all.
    pub operation: Option<RequestKind>,
    /// The fault.
    pub fault: S3Fault,
    /// From 0 to 1.
    pub probability: f64,
}

impl FromStr for S3FaultRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not [operation:]fault=probability");
        let (name, probability) = text.split_once('=').ok_or_else(wrong)?;
        let (operation, fault) = match name.split_once(':') {
            Some((operation, fault)) => (Some(RequestKind::from_str(operation, false)?), fault),
            None => (None, name),
        };
        Ok(Self {
            operation,
            fault: S3Fault::from_str(fault, false)?,
            probability: parse_probability(probability)?,
        })
    }
}

/// A number from 0 to 1.
pub fn parse_probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("'{text}' is not a probability from 0 to 1"))
}

/// The fate of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) fault: Option<S3Fault>,
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) late: Duration,
    /// For what has more than one form.
    pub(super) form: u64,
}

/// The faults of one S3; harmless at the start.
#[derive(Debug)]
pub struct S3Faults {
    entropy: SeededEntropy,
    outage: watch::Sender<Option<Outage>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rates: BTreeMap<(RequestKind, S3Fault), f64>,
    injected: BTreeMap<(RequestKind, S3Fault), u64>,
}

/// A slow request takes up to so much longer: not as long as clients wait (10 s for an attempt of `storage`).
const SLOW_MAX: Duration = Duration::from_secs(4);
/// What happens late happens within this: beyond lease and sweep.
const LATE_MAX: Duration = Duration::from_secs(20);

impl S3Faults {
    /// No faults yet; `seed` decides which requests will meet them.
    pub fn new(seed: u64) -> Self {
        Self {
            entropy: SeededEntropy::new(seed),
            outage: watch::Sender::new(None),
            state: Mutex::default(),
        }
    }

    /// Sets how often a fault comes.
    pub fn set(&self, rate: S3FaultRate) {
        let mut state = self.state();
        let only = |kind: &RequestKind| rate.operation.is_none_or(|operation| operation == *kind);
        for kind in RequestKind::value_variants().iter().copied().filter(only) {
            state.rates.insert((kind, rate.fault), rate.probability);
        }
    }

    /// Begins an outage, or ends it with `None`.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.outage.send_replace(outage);
    }

    /// No more faults. Requests under way keep theirs.
    pub fn heal(&self) {
        self.state().rates.clear();
        self.set_outage(None);
    }

    /// How often a fault was injected.
    pub fn count(&self, fault: S3Fault) -> u64 {
        let state = self.state();
        let of_fault = state.injected.iter().filter(|((_, injected), _)| *injected == fault);
        of_fault.map(|(_, count)| count).sum()
    }

    pub(super) fn outage(&self) -> Option<Outage> {
        *self.outage.borrow()
    }

    /// Waits until no outage is silent.
    pub(super) async fn silence_is_over(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self
            .outage
            .subscribe()
            .wait_for(|outage| *outage != Some(Outage::Silent))
            .await;
    }

    /// Draws the fate of a request and counts it.
    pub(super) fn draw(&self, kind: RequestKind) -> Fate {
        let [fate, slowness, split, delay, lateness, form] = std::array::from_fn(|_| self.entropy.next_u64());
        let outage = self.outage();
        let mut state = self.state();
        let fault = match outage {
            Some(_) => Some(S3Fault::Outage),
            None => state.pick(kind, unit(fate)),
        };
        let slow = outage.is_none() && unit(slowness) < state.rate(kind, S3Fault::Slow);
        for fault in fault.into_iter().chain(slow.then_some(S3Fault::Slow)) {
            *state.injected.entry((kind, fault)).or_insert(0) += 1;
        }
        let delay = if slow { skewed(SLOW_MAX, delay) } else { Duration::ZERO };
        let before = delay.mul_f64(unit(split));
        Fate {
            fault,
            before,
            after: delay.saturating_sub(before),
            late: skewed(LATE_MAX, lateness),
            form,
        }
    }

    /// In Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = "# TYPE yaks_dev_s3_faults_total counter\n".to_owned();
        for ((kind, fault), count) in &self.state().injected {
            let _ = writeln!(
                text,
                "yaks_dev_s3_faults_total{{operation=\"{kind:?}\",fault=\"{fault:?}\"}} {count}"
            );
        }
        text
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn rate(&self, kind: RequestKind, fault: S3Fault) -> f64 {
        self.rates.get(&(kind, fault)).copied().unwrap_or_default()
    }

    /// The faults share the numbers from 0 to 1, each as wide as it is likely.
    fn pick(&self, kind: RequestKind, mut drawn: f64) -> Option<S3Fault> {
        for fault in S3Fault::value_variants()
            .iter()
            .copied()
            .filter(|fault| fault.possible(kind))
        {
            let probability = self.rate(kind, fault);
            if drawn < probability {
                return Some(fault);
            }
            drawn -= probability;
        }
        None
    }
}

impl S3Fault {
    /// Whether a request can meet it as its one fault.
    fn possible(self, kind: RequestKind) -> bool {
        match self {
            Self::Late => matches!(kind, RequestKind::Put | RequestKind::Delete),
            Self::Conflict => kind == RequestKind::Put,
            Self::Partial => kind == RequestKind::Get,
            Self::Slow | Self::Outage => false,
            Self::Fail | Self::Reset | Self::Lost | Self::Throttle => true,
        }
    }
}

/// 32 random bits as a number from 0 to 1, 1 excluded.
pub(crate) fn unit(random: u64) -> f64 {
    (random >> 32) as f64 / (1u64 << 32) as f64
}

/// More often short than long.
pub(crate) fn skewed(max: Duration, random: u64) -> Duration {
    max.mul_f64(unit(random) * unit(random << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_with_or_without_an_operation() {
        let rate = |text: &str| text.parse::<S3FaultRate>();
        let lost = rate("lost=0.01").unwrap();
        assert_eq!(
            (lost.operation, lost.fault, lost.probability),
            (None, S3Fault::Lost, 0.01)
        );
        assert_eq!(rate("put:slow=1").unwrap().operation, Some(RequestKind::Put));
        for wrong in ["lost", "lost=2", "lost=x", "post:lost=0.1", "gone=0.1", "outage=0.1"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn faults_meet_the_requests_they_are_for_as_often_as_wanted() {
        let faults = S3Faults::new(1);
        faults.set("put:lost=0.2".parse().unwrap());
        faults.set("partial=0.5".parse().unwrap());
        faults.set("conflict=0.1".parse().unwrap());
        for _ in 0..1000 {
            faults.draw(RequestKind::Put);
            faults.draw(RequestKind::Get);
        }
        let near = |fault, wanted: u64| faults.count(fault).abs_diff(wanted) < wanted / 2;
        assert!(near(S3Fault::Lost, 200) && near(S3Fault::Partial, 500) && near(S3Fault::Conflict, 100));
        assert!(faults.render().contains("operation=\"Get\",fault=\"Partial\""));
        assert!(!faults.render().contains("operation=\"Get\",fault=\"Lost\""));
        faults.heal();
        assert_eq!(faults.draw(RequestKind::Put).fault, None);
    }
}
