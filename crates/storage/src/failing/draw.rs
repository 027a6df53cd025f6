//! What becomes of one request.

use std::time::Duration;

use types::Entropy;

use super::faults::{DelayRange, FaultHandle, FaultKind, FaultRates, Outage, State, StoreOperation};

/// The fate of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) fault: Option<FaultKind>,
    /// Delay before it happens.
    pub(super) before: Duration,
    /// Delay of its answer.
    pub(super) after: Duration,
    /// Without an answer: how long the caller waits in silence; `None` if the connection breaks at once.
    pub(super) silence: Option<Duration>,
    /// When it happens after all, with `HappensLater`.
    pub(super) late: Duration,
}

impl FaultHandle {
    /// Draws the fate of a request and counts it. Always takes the same number of random numbers, so that changing
    /// one probability leaves the others' draws alone.
    pub(super) fn draw(&self, operation: StoreOperation, entropy: &dyn Entropy) -> Drawn {
        let mut state = self.state();
        let [fate, slowness, split, delay, lateness, manner] = std::array::from_fn(|_| entropy.next_u64());
        let rates = state.rates.get(&operation).copied().unwrap_or_default();
        let fault = match state.outage {
            Some(_) => Some(FaultKind::Outage),
            None => pick(operation, rates, probability(fate)),
        };
        let slow = state.outage.is_none() && probability(slowness) < rates.slow;
        let delay = if slow {
            state.times.slow.at(delay)
        } else {
            Duration::ZERO
        };
        let before = share(delay, split);
        count(&mut state, operation, fault);
        count(&mut state, operation, slow.then_some(FaultKind::Slow));
        Drawn {
            fault,
            before,
            after: delay - before,
            silence: silence(&state, manner),
            late: state.times.late.at(lateness),
        }
    }
}

fn count(state: &mut State, operation: StoreOperation, fault: Option<FaultKind>) {
    if let Some(fault) = fault {
        *state.injected.entry((operation, fault)).or_insert(0) += 1;
    }
}

/// The kinds share the numbers from 0 to 1, each as wide as it is likely.
fn pick(operation: StoreOperation, rates: FaultRates, mut drawn: f64) -> Option<FaultKind> {
    use FaultKind::{AnswerLost, Conflict, FailedBefore, HappensLater, PartialRead, Throttled};
    let kinds = [
        (FailedBefore, rates.failed_before),
        (AnswerLost, rates.answer_lost),
        (Throttled, rates.throttled),
        (HappensLater, rates.happens_later),
        (Conflict, rates.conflict),
        (PartialRead, rates.partial_read),
    ];
    for (kind, probability) in kinds {
        if !possible(operation, kind) {
            continue;
        }
        if drawn < probability {
            return Some(kind);
        }
        drawn -= probability;
    }
    None
}

fn possible(operation: StoreOperation, kind: FaultKind) -> bool {
    match kind {
        FaultKind::HappensLater => matches!(operation, StoreOperation::Put | StoreOperation::Delete),
        FaultKind::Conflict => operation == StoreOperation::Put,
        FaultKind::PartialRead => operation == StoreOperation::Get,
        FaultKind::FailedBefore
        | FaultKind::AnswerLost
        | FaultKind::Throttled
        | FaultKind::Slow
        | FaultKind::Outage => true,
    }
}

fn silence(state: &State, manner: u64) -> Option<Duration> {
    let silent = match state.outage {
        Some(outage) => outage == Outage::Silent,
        None => manner.is_multiple_of(2),
    };
    silent.then_some(state.times.silence)
}

/// 53 random bits as a number from 0 to 1, 1 excluded; exact, and so the same everywhere.
fn probability(random: u64) -> f64 {
    const BITS: u32 = 53;
    (random >> (u64::BITS - BITS)) as f64 / (1u64 << BITS) as f64
}

/// A random part of `whole`.
fn share(whole: Duration, random: u64) -> Duration {
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX - 1);
    Duration::from_micros(random % (micros + 1))
}

impl DelayRange {
    /// The product of two uniform numbers: half of the delays lie in the first fifth of the range.
    fn at(self, random: u64) -> Duration {
        let (first, second) = (u128::from(random >> 32), u128::from(random & u64::from(u32::MAX)));
        let width = self.max.saturating_sub(self.min).as_micros();
        let micros = (width.saturating_mul(first) >> 32).saturating_mul(second) >> 32;
        self.min + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
