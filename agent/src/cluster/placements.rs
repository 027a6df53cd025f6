//! Placements kept for as long as the same agents and topics are there: who leads ten thousand partitions is worked out
//! once, not for every question.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::placement::Placement;

/// Most placements kept: more than there are zones.
const KEPT_MAX: usize = 64;

/// Placements of one snapshot, by whom they are for.
#[derive(Debug, Default)]
pub struct Placements(Mutex<BTreeMap<String, Arc<Placement>>>);

impl Placements {
    /// The placement for `whom`, made when it is asked for first.
    pub fn get(&self, whom: &str, make: impl FnOnce() -> Placement) -> Arc<Placement> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(placement) = kept.get(whom) {
            return Arc::clone(placement);
        }
        let made = Arc::new(make());
        if kept.len() < KEPT_MAX {
            kept.insert(whom.to_owned(), Arc::clone(&made));
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metastore::LiveAgent;
    use types::NodeId;

    fn make(node_id: i32) -> Placement {
        let agent = LiveAgent {
            node_id: NodeId(node_id),
            host: "a".to_owned(),
            port: 1,
            rack: String::new(),
            cache_url: String::new(),
            listeners: Vec::new(),
            peer_address: String::new(),
        };
        Placement::new(&[agent], None)
    }

    #[test]
    fn each_has_a_placement_of_its_own_which_stays() {
        let placements = Placements::default();
        let first = placements.get("a", || make(1));
        assert_eq!(placements.get("b", || make(2)).controller(), NodeId(2));
        assert!(Arc::ptr_eq(&first, &placements.get("a", || make(3))));
    }

    #[test]
    fn clients_cannot_make_us_keep_more_than_there_is_room_for() {
        let placements = Placements::default();
        for n in 0..1000 {
            placements.get(&n.to_string(), || make(n));
        }
        assert_eq!(placements.0.lock().unwrap().len(), KEPT_MAX);
    }
}
