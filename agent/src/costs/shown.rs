//! Which topics are shown by their names, so that there are never too many of them. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::sync::Arc;

use types::{TopicId, TopicNumber};

use super::{Dollars, Spent, TopicRef};
use crate::cluster::view::Topic;

/// Topics shown by name: the dearest. Four series each, so an agent's part of what Prometheus keeps stays below a thousand series, some
/// 100 KB at each scrape.
pub(super) const NAMED_MAX: usize = 200;

/// All others. No topic can be called so.
pub(super) const OTHERS: &str = "(others)";

/// What each topic costs in requests. Every topic there is has an entry; what those cost that are gone is among the others'.
pub(super) fn requests<'a>(spent: &Spent, topics: &'a [Arc<Topic>]) -> Vec<(&'a str, Dollars)> {
    let by_id: HashMap<TopicId, &Topic> = topics.iter().map(|topic| (topic.id, topic.as_ref())).collect();
    let by_number: HashMap<TopicNumber, &Topic> = topics.iter().map(|topic| (topic.number, topic.as_ref())).collect();
    let of = |topic: &TopicRef| match topic {
        TopicRef::Id(id) => by_id.get(id).copied(),
        TopicRef::Number(number) => by_number.get(number).copied(),
    };
    let found = spent
        .iter()
        .map(|(topic, dollars)| (of(topic).map(|topic| topic.name.as_str()), *dollars));
    dearest(topics, found, Dollars::total)
}

/// What the bytes of each topic cost, at a price a byte.
pub(super) fn storage<'a>(
    bytes: &BTreeMap<TopicNumber, u64>,
    topics: &'a [Arc<Topic>],
    price: impl Fn(f64) -> f64,
) -> Vec<(&'a str, f64)> {
    let found = topics.iter().map(|topic| {
        let bytes = bytes.get(&topic.number).copied().unwrap_or_default();
        (Some(topic.name.as_str()), price(bytes as f64))
    });
    dearest(topics, found, |dollars| *dollars)
}

/// The dearest topics, and all others in one.
fn dearest<'a, V: AddAssign + Copy + Default>(
    topics: &'a [Arc<Topic>],
    found: impl Iterator<Item = (Option<&'a str>, V)>,
    total: impl Fn(&V) -> f64,
) -> Vec<(&'a str, V)> {
    let mut others = V::default();
    let mut named: BTreeMap<&str, V> = topics.iter().map(|topic| (topic.name.as_str(), V::default())).collect();
    for (name, dollars) in found {
        match name.and_then(|name| named.get_mut(name)) {
            Some(sum) => *sum += dollars,
            None => others += dollars,
        }
    }
    let mut named: Vec<(&str, V)> = named.into_iter().collect();
    // Stable: of equals those are named that come first by name, the same at every agent.
    named.sort_by(|(_, a), (_, b)| total(b).total_cmp(&total(a)));
    for (_, dollars) in named.drain(NAMED_MAX.min(named.len())..) {
        others += dollars;
    }
    named.push((OTHERS, others));
    named
}

#[cfg(test)]
mod tests {
    use metastore::TopicSettings;
    use types::TopicName;
    use uuid::Uuid;

    use super::super::tests::id;
    use super::*;

    fn topic(n: i32, name: &str) -> Arc<Topic> {
        Arc::new(Topic {
            number: TopicNumber(n),
            id: TopicId(Uuid::from_u128(n as u128)),
            name: TopicName::new(name).unwrap(),
            partition_count: 1,
            settings: TopicSettings::default(),
        })
    }

    fn put(put: f64) -> Dollars {
        Dollars {
            put,
            ..Dollars::default()
        }
    }

    #[test]
    fn a_topic_is_one_whether_it_is_written_or_read_and_one_that_is_gone_is_among_the_others() {
        let topics = [topic(1, "idle"), topic(2, "busy")];
        let get = Dollars {
            get: 2.0,
            ..Dollars::default()
        };
        let spent = Spent::from([
            (id(2), put(1.0)),
            (TopicRef::Number(TopicNumber(2)), get),
            (id(3), put(4.0)),
        ]);
        let busy = Dollars { put: 1.0, ..get };
        let expected = [("busy", busy), ("idle", put(0.0)), (OTHERS, put(4.0))];
        assert_eq!(requests(&spent, &topics), expected);
    }

    #[test]
    fn the_dearest_have_names_and_the_others_keep_their_sum() {
        let topics: Vec<_> = (0..1000).map(|n| topic(n, &format!("topic-{n:03}"))).collect();
        let bytes = (0..1000).map(|n| (TopicNumber(n), u64::try_from(n % 500).unwrap()));
        let shown = storage(&bytes.collect(), &topics, |bytes| 2.0 * bytes);
        assert_eq!(shown.len(), NAMED_MAX + 1);
        assert_eq!(
            shown[..3],
            [("topic-499", 998.0), ("topic-999", 998.0), ("topic-498", 996.0)]
        );
        assert_eq!(shown.last().unwrap().0, OTHERS);
        let sum: f64 = shown.iter().map(|(_, dollars)| dollars).sum();
        assert_eq!(sum, 2.0 * 2.0 * f64::from(499 * 500 / 2));
        assert!(TopicName::new(OTHERS).is_err());
    }
}
