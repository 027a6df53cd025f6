//! What this agent's work costs in AWS's requests, by the topics that cause it.
//!
//! Whoever sends a request that is paid for says so here, and whose bytes it was about; a request about several topics is shared by
//! bytes. `watch` takes what was spent every few seconds and shows it (docs/adr/0015). A request to S3 takes milliseconds, so one lock
//! around all topics is not felt; a read that the sidecar serves by itself costs nothing and does not come here.

mod shown;
pub mod watch;
mod window;

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};

use commit::SlotFooter;
use object_format::Footer;
use prices::Prices;
use types::{TopicId, TopicNumber};

use crate::config::CommitPath;

/// A topic as the two sides know it: objects name ids, the log index numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// As written.
    Id(TopicId),
    /// As read.
    Number(TopicNumber),
}

/// US dollars by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dollars {
    /// PUTs of objects.
    pub put: f64,
    /// Commits of objects: the queue, the function, and what that reads.
    pub commit: f64,
    /// GETs for readers.
    pub get: f64,
}

impl Dollars {
    /// All of them.
    pub fn total(&self) -> f64 {
        self.put + self.commit + self.get
    }
}

impl AddAssign for Dollars {
    fn add_assign(&mut self, more: Self) {
        self.put += more.put;
        self.commit += more.commit;
        self.get += more.get;
    }
}

/// Dollars by topic.
pub type Spent = BTreeMap<TopicRef, Dollars>;

/// Counts what is spent; without prices, nothing.
#[derive(Debug, Default)]
pub struct Costs {
    rates: Option<Rates>,
    spent: Mutex<Spent>,
}

/// Dollars for one of each.
#[derive(Clone, Copy, Debug)]
struct Rates {
    put: f64,
    get: f64,
    /// An object's event, up to its commit, or to seeing that it is committed.
    event: f64,
    invocation: f64,
}

impl Costs {
    /// Counts at these prices, for an agent whose objects are committed by `path`.
    pub fn new(prices: &Prices, path: CommitPath) -> Self {
        // The function asks the row first: it reads a footer only where nobody has committed before.
        let footers = match path {
            CommitPath::Event => prices.yaks.footer_gets_per_object,
            CommitPath::Invoke | CommitPath::Inline => 0.0,
        };
        let rates = Rates {
            put: prices.put(),
            get: prices.get(),
            event: prices.queued_event() + prices.invocation() + footers * prices.get(),
            invocation: prices.invocation(),
        };
        Self {
            rates: Some(rates),
            spent: Mutex::default(),
        }
    }

    /// A PUT of an object is sent.
    pub fn put(&self, footer: &Footer) {
        let Some(rates) = self.rates else { return };
        self.share(&bytes_of([footer]), |dollars| &mut dollars.put, rates.put);
    }

    /// An object of ours lies in S3: its event is on its way, whoever commits.
    pub fn event(&self, footer: &Footer) {
        let Some(rates) = self.rates else { return };
        self.share(&bytes_of([footer]), |dollars| &mut dollars.commit, rates.event);
    }

    /// The function is invoked to commit `slots`.
    pub fn invocation(&self, slots: &[SlotFooter]) {
        let Some(rates) = self.rates else { return };
        let bytes = bytes_of(slots.iter().map(|slot| slot.footer.as_ref()));
        self.share(&bytes, |dollars| &mut dollars.commit, rates.invocation);
    }

    /// S3 was sent so many GETs for a read of so many bytes of each topic.
    pub fn gets(&self, gets: u64, of: impl Iterator<Item = (TopicNumber, u64)>) {
        let Some(rates) = self.rates.filter(|_| gets > 0) else {
            return;
        };
        let bytes: Vec<_> = of.map(|(topic, bytes)| (TopicRef::Number(topic), bytes)).collect();
        self.share(&bytes, |dollars| &mut dollars.get, rates.get * gets as f64);
    }

    /// What was spent since this was called last.
    fn take(&self) -> Spent {
        std::mem::take(&mut self.spent())
    }

    fn share(&self, among: &[(TopicRef, u64)], kind: fn(&mut Dollars) -> &mut f64, dollars: f64) {
        let all: u64 = among.iter().map(|(_, bytes)| bytes).sum();
        if all == 0 {
            // A tombstone is nobody's.
            return;
        }
        let mut spent = self.spent();
        for (topic, bytes) in among {
            *kind(spent.entry(*topic).or_default()) += dollars * *bytes as f64 / all as f64;
        }
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of<'a>(footers: impl IntoIterator<Item = &'a Footer>) -> Vec<(TopicRef, u64)> {
    let mut all = Vec::new();
    for footer in footers {
        let first = all.len();
        all.extend(footer.topics.iter().map(|topic| (TopicRef::Id(topic.id), 0)));
        for batch in &footer.batches {
            if let Some((_, bytes)) = all.get_mut(first + batch.topic as usize) {
                *bytes += batch.range.len();
            }
        }
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use types::{ClusterId, ContentId, Slot, SlotSeq, StreamId};
    use uuid::Uuid;

    use super::*;
    use crate::produce::buffer::tests::entry;
    use crate::produce::object::{seal, tombstone};

    const SLOT: Slot = Slot {
        stream: StreamId(Uuid::nil()),
        seq: SlotSeq(0),
    };
    const CLUSTER: ClusterId = ClusterId(Uuid::nil());

    /// Of an object with these bytes of topics 1, 2, ...
    fn footer(bytes: &[usize]) -> SlotFooter {
        let entries = (1..).zip(bytes).map(|(topic, bytes)| entry(topic, 0, *bytes));
        let mut entries: Vec<_> = entries.collect();
        seal(&mut entries, CLUSTER, SLOT, ContentId(Uuid::nil()), None).footer
    }

    pub(crate) fn id(topic: u128) -> TopicRef {
        TopicRef::Id(TopicId(Uuid::from_u128(topic)))
    }

    pub(crate) fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= 1e-9 * wanted.abs()
    }

    #[test]
    fn an_object_is_shared_by_bytes_and_nothing_of_it_is_lost() {
        let prices = Prices::built_in();
        let costs = Costs::new(&prices, CommitPath::Inline);
        let object = footer(&[300, 100]);
        costs.put(&object.footer);
        costs.put(&object.footer);
        costs.event(&object.footer);
        let spent = costs.take();
        let event = prices.queued_event() + prices.invocation();
        for (topic, share) in [(1, 0.75), (2, 0.25)] {
            let dollars = spent[&id(topic)];
            assert!(near(dollars.put, 2.0 * share * prices.put()), "{dollars:?}");
            assert!(near(dollars.commit, share * event), "{dollars:?}");
        }
        assert_eq!(costs.take(), Spent::new(), "it is told once");
    }

    #[test]
    fn a_commit_costs_what_its_path_asks_of_aws() {
        let prices = Prices::built_in();
        let object = footer(&[10]);
        let commit = |path| {
            let costs = Costs::new(&prices, path);
            costs.event(&object.footer);
            if path == CommitPath::Invoke {
                costs.invocation(&[footer(&[10]), footer(&[10])]);
            }
            costs.take()[&id(1)].commit
        };
        let inline = commit(CommitPath::Inline);
        assert!(near(commit(CommitPath::Invoke), inline + prices.invocation()));
        assert!(near(commit(CommitPath::Event), inline + prices.get()));
    }

    #[test]
    fn a_read_is_shared_by_those_it_was_for_and_a_cached_one_costs_nothing() {
        let prices = Prices::built_in();
        let costs = Costs::new(&prices, CommitPath::Event);
        let read = [(TopicNumber(7), 1), (TopicNumber(8), 2), (TopicNumber(7), 1)];
        costs.gets(3, read.into_iter());
        costs.gets(0, read.into_iter());
        let spent = costs.take();
        for topic in [7, 8] {
            let get = spent[&TopicRef::Number(TopicNumber(topic))].get;
            assert!(near(get, 1.5 * prices.get()), "{get}");
        }
    }

    #[test]
    fn what_is_nobodys_and_what_has_no_price_is_not_counted() {
        let costs = Costs::new(&Prices::built_in(), CommitPath::Event);
        costs.put(&tombstone(CLUSTER, SLOT, ContentId(Uuid::nil())).footer.footer);
        assert_eq!(costs.take(), Spent::new());
        let unpriced = Costs::default();
        unpriced.put(&footer(&[10]).footer);
        unpriced.gets(1, [(TopicNumber(7), 1)].into_iter());
        assert_eq!(unpriced.take(), Spent::new());
    }
}
