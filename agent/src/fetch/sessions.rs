//! All fetch sessions of this agent: how a request finds its session, and which one makes room for another.
//!
//! Ids are random, because several agents may stand behind one address: a request that comes to an agent which does not
//! know its session is refused, and the client starts over with a full fetch. A client without a session loses nothing but
//! bytes; so where there is no room, none is opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tokio::time::Instant;
use types::Entropy;
use types::limits::FETCH_SESSION_PARTITIONS_MAX;

use crate::fetch::session::{Asked, Fetched, PartitionRef, Session, Told, next_epoch};
use crate::metrics::FETCH_SESSIONS;

/// A session that is older, or has not been used for so long, may have to make room (Kafka:
/// `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// "No session".
pub const NO_SESSION: i32 = 0;
/// The epoch of a request that would like a session.
const OPENING_EPOCH: i32 = 0;
/// The epoch of a request that wants none, or no more.
const CLOSING_EPOCH: i32 = -1;

/// What a request says of sessions.
#[derive(Debug)]
pub struct SessionRequest {
    /// The session it belongs to, or [`NO_SESSION`].
    pub id: i32,
    /// Its number within the session.
    pub epoch: i32,
    /// Whether it names topics by id.
    pub by_id: bool,
    /// Partitions new to the session, or changed; without a session, all of them.
    pub partitions: Vec<(PartitionRef, Asked)>,
    /// Partitions to be left out from now on.
    pub forgotten: Vec<PartitionRef>,
}

/// Why a request's session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// There is none of that id, or not here.
    NotFound,
    /// The request is not the one that comes next.
    WrongEpoch,
    /// It names topics by id where the session has names, or the other way about.
    OtherTopicNames,
}

/// How a request's answer is to be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// As it is.
    Sessionless,
    /// With a new session, if there is room.
    Opening { by_id: bool },
    /// Without what the session's client knows already.
    Incremental { id: i32, epoch: i32 },
}

/// A request that has found its partitions.
#[derive(Debug)]
pub struct Begun {
    /// What to fetch, in the order in which it is to be served.
    pub partitions: Vec<Fetched>,
    ending: Ending,
}

/// The sessions; one per agent.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    entropy: Arc<dyn Entropy>,
    sessions: Mutex<BTreeMap<i32, Session>>,
}

impl FetchSessions {
    /// Room for so many sessions.
    pub fn new(slots: usize, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            slots,
            entropy,
            sessions: Mutex::default(),
        }
    }

    /// Finds out what a request wants.
    pub fn begin(&self, request: SessionRequest, now: Instant) -> Result<Begun, SessionError> {
        let mut sessions = self.sessions();
        if matches!(request.epoch, OPENING_EPOCH | CLOSING_EPOCH) {
            end(&mut sessions, request.id);
            let opens = request.epoch == OPENING_EPOCH;
            let ending = if opens {
                Ending::Opening { by_id: request.by_id }
            } else {
                Ending::Sessionless
            };
            return Ok(whole(request.partitions, ending));
        }
        let session = sessions.get_mut(&request.id).ok_or(SessionError::NotFound)?;
        if session.by_id != request.by_id {
            return Err(SessionError::OtherTopicNames);
        }
        if session.epoch != request.epoch {
            return Err(SessionError::WrongEpoch);
        }
        for (partition, asked) in &request.partitions {
            session.set(partition.clone(), *asked);
        }
        for partition in &request.forgotten {
            session.forget(partition);
        }
        if session.is_empty() {
            end(&mut sessions, request.id);
            return Ok(whole(request.partitions, Ending::Sessionless));
        }
        session.used = now;
        session.epoch = next_epoch(session.epoch);
        let begun = Begun {
            partitions: session.partitions(),
            ending: Ending::Incremental {
                id: request.id,
                epoch: session.epoch,
            },
        };
        if cached(&sessions) > FETCH_SESSION_PARTITIONS_MAX {
            end(&mut sessions, request.id);
            return Err(SessionError::NotFound);
        }
        Ok(begun)
    }

    /// Finishes the answer to a request: its session's id, and for each of its partitions, in order, whether the client
    /// has to get it.
    pub fn finish(&self, begun: Begun, told: Vec<Told>, now: Instant) -> Result<(i32, Vec<bool>), SessionError> {
        let all = vec![true; begun.partitions.len()];
        match begun.ending {
            Ending::Sessionless => Ok((NO_SESSION, all)),
            Ending::Opening { by_id } => Ok((self.open(by_id, begun.partitions, told, now), all)),
            Ending::Incremental { id, epoch } => {
                let mut sessions = self.sessions();
                let session = sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
                if session.epoch != epoch {
                    return Err(SessionError::WrongEpoch);
                }
                Ok((id, tell_all(session, &begun.partitions, told)))
            }
        }
    }

    /// A new session, or none if there is no room.
    fn open(&self, by_id: bool, partitions: Vec<Fetched>, told: Vec<Told>, now: Instant) -> i32 {
        let mut sessions = self.sessions();
        let size = partitions.len();
        // Without partitions the next request would find nothing to go on with.
        let fits = size > 0 && cached(&sessions) + size <= FETCH_SESSION_PARTITIONS_MAX;
        if !fits || (sessions.len() >= self.slots && !make_room(&mut sessions, size, now)) {
            return NO_SESSION;
        }
        let mut session = Session::new(by_id, partitions.clone(), now);
        tell_all(&mut session, &partitions, told);
        let id = self.unused_id(&sessions);
        sessions.insert(id, session);
        gauge!(FETCH_SESSIONS).set(sessions.len() as f64);
        id
    }

    fn unused_id(&self, sessions: &BTreeMap<i32, Session>) -> i32 {
        loop {
            let [.., a, b, c, d] = self.entropy.next_u64().to_be_bytes();
            let id = i32::from_be_bytes([a & 0x7f, b, c, d]);
            if id != NO_SESSION && !sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<i32, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole(partitions: Vec<(PartitionRef, Asked)>, ending: Ending) -> Begun {
    let fetched = |(partition, asked)| Fetched {
        partition,
        asked,
        known_name: None,
    };
    Begun {
        partitions: partitions.into_iter().map(fetched).collect(),
        ending,
    }
}

fn tell_all(session: &mut Session, partitions: &[Fetched], told: Vec<Told>) -> Vec<bool> {
    let both = partitions.iter().zip(told);
    both.map(|(fetched, told)| session.tell(&fetched.partition, told))
        .collect()
}

/// Partitions in all sessions.
fn cached(sessions: &BTreeMap<i32, Session>) -> usize {
    sessions.values().map(Session::len).sum()
}

fn end(sessions: &mut BTreeMap<i32, Session>, id: i32) {
    if sessions.remove(&id).is_some() {
        gauge!(FETCH_SESSIONS).set(sessions.len() as f64);
    }
}

/// Ends one session for the sake of a new one of `size` partitions: one that has not been used for long, else the smallest of the old
/// ones, if it is smaller than the new one: that saves more bytes.
fn make_room(sessions: &mut BTreeMap<i32, Session>, size: usize, now: Instant) -> bool {
    let for_long = |since: Instant| now.duration_since(since) > EVICTABLE_AFTER;
    let idlest = sessions.iter().min_by_key(|(_, session)| session.used);
    let idle = idlest.filter(|(_, session)| for_long(session.used));
    let old = sessions.iter().filter(|(_, session)| for_long(session.created));
    let smallest = old.min_by_key(|(_, session)| session.len());
    let evicted = idle.or(smallest.filter(|(_, session)| session.len() < size));
    let Some(id) = evicted.map(|(id, _)| *id) else {
        return false;
    };
    sessions.remove(&id);
    true
}

#[cfg(test)]
mod tests {
    use types::{Offset, PartitionIndex, SeededEntropy, TopicId};
    use uuid::Uuid;

    use super::*;
    use crate::fetch::session::TopicRef;

    const SECOND: Duration = Duration::from_secs(1);

    fn sessions(slots: usize) -> FetchSessions {
        FetchSessions::new(slots, Arc::new(SeededEntropy::new(1)))
    }

    fn partition(index: i32) -> PartitionRef {
        PartitionRef {
            topic: TopicRef::Id(TopicId(Uuid::from_u128(1))),
            index: PartitionIndex(index),
        }
    }

    fn request(id: i32, epoch: i32, partitions: std::ops::Range<i32>) -> SessionRequest {
        let asked = Asked {
            from: Offset(0),
            bytes_max: 1,
            leader_epoch: -1,
        };
        SessionRequest {
            id,
            epoch,
            by_id: true,
            partitions: partitions.map(|index| (partition(index), asked)).collect(),
            forgotten: Vec::new(),
        }
    }

    fn unchanged() -> Told {
        Told {
            high_watermark: Offset(1),
            log_start: Offset(0),
            has_records: false,
            is_notable: false,
            is_error: false,
            name: None,
        }
    }

    /// Begins and finishes; the session's id and how many partitions the client gets.
    fn serve(sessions: &FetchSessions, request: SessionRequest, now: Instant) -> Result<(i32, usize), SessionError> {
        let begun = sessions.begin(request, now)?;
        let told = vec![unchanged(); begun.partitions.len()];
        let (id, sent) = sessions.finish(begun, told, now)?;
        Ok((id, sent.into_iter().filter(|sent| *sent).count()))
    }

    #[tokio::test]
    async fn a_session_answers_only_what_is_new() {
        let (sessions, now) = (sessions(10), Instant::now());
        let (id, sent) = serve(&sessions, request(NO_SESSION, 0, 0..3), now).unwrap();
        assert!(id > 0);
        assert_eq!(sent, 3);
        assert_eq!(serve(&sessions, request(id, 1, 0..0), now), Ok((id, 0)));
        assert_eq!(
            serve(&sessions, request(id, 2, 3..4), now),
            Ok((id, 1)),
            "a partition more"
        );
        let begun = sessions.begin(request(id, 3, 0..0), now).unwrap();
        assert_eq!(begun.partitions.len(), 4);
    }

    #[tokio::test]
    async fn a_request_that_is_not_the_next_one_is_refused() {
        let (sessions, now) = (sessions(10), Instant::now());
        let (id, _) = serve(&sessions, request(NO_SESSION, 0, 0..3), now).unwrap();
        assert_eq!(
            serve(&sessions, request(id, 2, 0..0), now),
            Err(SessionError::WrongEpoch)
        );
        assert_eq!(
            serve(&sessions, request(id ^ 1, 1, 0..0), now),
            Err(SessionError::NotFound)
        );
        let by_name = SessionRequest {
            by_id: false,
            ..request(id, 1, 0..0)
        };
        assert_eq!(serve(&sessions, by_name, now), Err(SessionError::OtherTopicNames));
        assert_eq!(
            serve(&sessions, request(id, 1, 0..0), now),
            Ok((id, 0)),
            "nothing was lost"
        );
    }

    #[tokio::test]
    async fn of_two_requests_at_once_the_older_one_is_refused_at_its_end() {
        let (sessions, now) = (sessions(10), Instant::now());
        let (id, _) = serve(&sessions, request(NO_SESSION, 0, 0..1), now).unwrap();
        let slow = sessions.begin(request(id, 1, 0..0), now).unwrap();
        assert_eq!(serve(&sessions, request(id, 2, 0..0), now), Ok((id, 0)));
        assert_eq!(
            sessions.finish(slow, vec![unchanged()], now),
            Err(SessionError::WrongEpoch)
        );
    }

    #[tokio::test]
    async fn a_full_fetch_ends_the_session_it_names() {
        let (sessions, now) = (sessions(10), Instant::now());
        for epoch in [OPENING_EPOCH, CLOSING_EPOCH] {
            let (id, _) = serve(&sessions, request(NO_SESSION, 0, 0..1), now).unwrap();
            let (other, sent) = serve(&sessions, request(id, epoch, 0..1), now).unwrap();
            assert_ne!(other, id);
            assert_eq!((other == NO_SESSION, sent), (epoch == CLOSING_EPOCH, 1));
            assert_eq!(serve(&sessions, request(id, 1, 0..0), now), Err(SessionError::NotFound));
        }
    }

    #[tokio::test]
    async fn a_session_of_which_everything_is_forgotten_is_over() {
        let (sessions, now) = (sessions(10), Instant::now());
        let (id, _) = serve(&sessions, request(NO_SESSION, 0, 0..1), now).unwrap();
        let forgets = SessionRequest {
            forgotten: vec![partition(0)],
            ..request(id, 1, 0..0)
        };
        assert_eq!(serve(&sessions, forgets, now), Ok((NO_SESSION, 0)));
        assert_eq!(serve(&sessions, request(id, 2, 0..0), now), Err(SessionError::NotFound));
    }

    #[tokio::test]
    async fn young_sessions_keep_their_place_and_idle_or_smaller_ones_lose_it() {
        let (sessions, start) = (sessions(2), Instant::now());
        let open = |size, at| serve(&sessions, request(NO_SESSION, 0, 0..size), at).unwrap().0;
        let lives = |id, epoch, at| serve(&sessions, request(id, epoch, 0..0), at).is_ok();
        let (small, large) = (open(1, start), open(5, start));
        assert_eq!(open(9, start), NO_SESSION, "both are young");
        let later = start + EVICTABLE_AFTER + SECOND;
        assert!(lives(small, 1, later) && lives(large, 1, later));
        assert_eq!(open(1, later), NO_SESSION, "nobody is smaller");
        let larger = open(2, later);
        assert_ne!(larger, NO_SESSION);
        assert!(!lives(small, 2, later));
        let much_later = later + EVICTABLE_AFTER + SECOND;
        assert!(lives(larger, 1, much_later));
        assert_ne!(open(1, much_later), NO_SESSION, "one was idle");
        assert!(!lives(large, 2, much_later));
    }

    #[tokio::test]
    async fn memory_is_bounded_by_partitions_too() {
        let (sessions, now) = (sessions(10), Instant::now());
        let half = i32::try_from(FETCH_SESSION_PARTITIONS_MAX / 2).unwrap();
        let (first, _) = serve(&sessions, request(NO_SESSION, 0, 0..half), now).unwrap();
        assert_ne!(first, NO_SESSION);
        assert_eq!(
            serve(&sessions, request(NO_SESSION, 0, 0..half + 2), now).unwrap().0,
            NO_SESSION
        );
        let (second, _) = serve(&sessions, request(NO_SESSION, 0, 0..half), now).unwrap();
        assert_ne!(second, NO_SESSION);
        let grows = request(second, 1, half..half + 2);
        assert_eq!(serve(&sessions, grows, now), Err(SessionError::NotFound));
        assert!(cached(&sessions.sessions()) <= FETCH_SESSION_PARTITIONS_MAX);
    }
}
