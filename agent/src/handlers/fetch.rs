//! Fetch: sessions (KIP-227), topic ids (KIP-516), readers sent to an agent of their own zone (KIP-392).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use metrics::counter;
use tokio::time::Instant;
use types::{Offset, PartitionIndex, TopicId, TopicName};
use uuid::Uuid;

use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{Asked as AskedOf, of_leader_epoch, of_metastore, of_session};
use crate::fetch::serve::{FetchLimits, ServedPartition, WantedPartition};
use crate::fetch::session::{Asked, Fetched, PartitionRef, Told, TopicRef};
use crate::fetch::sessions::{NO_SESSION, SessionError, SessionRequest};
use crate::fetch_answer::{FetchAnswer, FetchAnswerPartition, FetchAnswerTopic};
use crate::leader_epoch;
use crate::memory::pool::Grant;
use crate::metrics::FETCH_BYTES;

/// First version with sessions.
const SESSIONS_SINCE: i16 = 7;
/// First version that may carry zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;
/// First version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;
/// Longer than any client waits for an answer by default. What it asked after that waits behind, and holds memory of all.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The epoch of a request that wants no session.
const SESSIONLESS: i32 = -1;

/// A partition of the request, and what becomes of it.
struct Part {
    partition: PartitionRef,
    asked: Asked,
    topic: Option<Arc<Topic>>,
    answer: FetchAnswerPartition,
}

type Found = Result<Arc<Topic>, ResponseError>;

/// Answers when there is enough to read, or when the client has waited long enough. Dropped when the client goes.
/// With it comes what keeps its records counted, until it has left.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: FetchRequest,
) -> (FetchAnswer, Option<Grant>) {
    let sessions = &broker.fetcher.sessions;
    let begun = match sessions.begin(session_request(version, &request), Instant::now()) {
        Ok(begun) => begun,
        Err(error) => return (refused(error), None),
    };
    let mut parts = look_up_all(broker, &begun.partitions).await;
    send_elsewhere(broker, client, &request.rack_id, &mut parts).await;
    let memory = serve(broker, limits(broker, version, &request, &parts), &mut parts).await;
    match sessions.finish(begun, parts.iter().map(told).collect(), Instant::now()) {
        Ok((session_id, sent)) => {
            let answer = FetchAnswer {
                error: None,
                session_id,
                topics: by_topic(parts, &sent),
            };
            (answer, memory)
        }
        Err(error) => (refused(error), None),
    }
}

fn refused(error: SessionError) -> FetchAnswer {
    FetchAnswer {
        error: Some(of_session(error)),
        session_id: NO_SESSION,
        topics: Vec::new(),
    }
}

fn session_request(version: i16, request: &FetchRequest) -> SessionRequest {
    let by_id = version >= TOPIC_IDS_SINCE;
    let reference = |name: &str, id: Uuid, index: i32| PartitionRef {
        topic: if by_id {
            TopicRef::Id(TopicId(id))
        } else {
            TopicRef::Name(name.into())
        },
        index: PartitionIndex(index),
    };
    let partitions = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|wanted| (reference(&topic.topic, topic.topic_id, wanted.partition), asked(wanted)))
    });
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|index| reference(&topic.topic, topic.topic_id, *index))
    });
    SessionRequest {
        id: request.session_id,
        epoch: if version >= SESSIONS_SINCE {
            request.session_epoch
        } else {
            SESSIONLESS
        },
        by_id,
        partitions: partitions.collect(),
        forgotten: forgotten.collect(),
    }
}

fn asked(partition: &FetchPartition) -> Asked {
    Asked {
        from: Offset(partition.fetch_offset),
        bytes_max: u64::try_from(partition.partition_max_bytes).unwrap_or_default(),
        leader_epoch: partition.current_leader_epoch,
    }
}

async fn look_up_all(broker: &Broker, partitions: &[Fetched]) -> Vec<Part> {
    let mut topics: BTreeMap<&TopicRef, Found> = BTreeMap::new();
    for fetched in partitions {
        let topic = &fetched.partition.topic;
        if !topics.contains_key(topic) {
            topics.insert(topic, look_up(broker, fetched).await);
        }
    }
    partitions
        .iter()
        .map(|fetched| part(fetched, &topics[&fetched.partition.topic]))
        .collect()
}

async fn look_up(broker: &Broker, fetched: &Fetched) -> Found {
    let unavailable = |error| of_metastore(&error, AskedOf::Log);
    match &fetched.partition.topic {
        TopicRef::Id(id) => match broker.cluster.find_topic_by_id(*id).await.map_err(unavailable)? {
            Some(topic) => Ok(topic),
            None => Err(of_lost_id(broker, fetched.known_name.as_ref()).await?),
        },
        TopicRef::Name(name) => {
            let name = TopicName::new(name).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
            let found = broker.cluster.find_topic_by_name(&name).await.map_err(unavailable)?;
            found.ok_or(ResponseError::UnknownTopicOrPartition)
        }
    }
}

/// What to say of an id that is not there: within a session it may have been that of a topic which was deleted since, and
/// perhaps made again.
async fn of_lost_id(broker: &Broker, known_name: Option<&TopicName>) -> Result<ResponseError, ResponseError> {
    let Some(name) = known_name else {
        return Ok(ResponseError::UnknownTopicId);
    };
    let found = broker.cluster.find_topic_by_name(name).await;
    let found = found.map_err(|error| of_metastore(&error, AskedOf::Log))?;
    Ok(match found {
        Some(_) => ResponseError::InconsistentTopicId,
        None => ResponseError::UnknownTopicOrPartition,
    })
}

fn part(fetched: &Fetched, found: &Found) -> Part {
    let (topic, error) = match found {
        Ok(topic) => (Some(Arc::clone(topic)), refuse(topic, fetched)),
        Err(error) => (None, Some(*error)),
    };
    Part {
        partition: fetched.partition.clone(),
        asked: fetched.asked,
        topic,
        answer: FetchAnswerPartition {
            error,
            ..FetchAnswerPartition::empty(fetched.partition.index)
        },
    }
}

fn refuse(topic: &Topic, fetched: &Fetched) -> Option<ResponseError> {
    if !topic.has_partition(fetched.partition.index) {
        return Some(ResponseError::UnknownTopicOrPartition);
    }
    leader_epoch::check(fetched.asked.leader_epoch)
        .err()
        .map(of_leader_epoch)
}

impl Part {
    /// The topic, if there is still something to serve of this partition.
    fn open(&self) -> Option<&Arc<Topic>> {
        let is_open = self.answer.error.is_none() && self.answer.preferred_replica.is_none();
        self.topic.as_ref().filter(|_| is_open)
    }
}

/// Sends a reader to an agent of its own zone, if it named one and we live in another. Where the ends of the log cannot be asked
/// for, we serve it after all.
async fn send_elsewhere(broker: &Broker, client: &Client, rack: &str, parts: &mut [Part]) {
    let own = broker.cluster.own();
    if rack.is_empty() || own.rack == rack {
        return;
    }
    let placement = broker.placement(client);
    let nearer = |part: &Part| placement.nearer(own.node_id, rack, part.open()?.id, part.partition.index);
    let nearer: Vec<_> = parts.iter().map(nearer).collect();
    let key = |part: &Part| Some((part.open()?.number, part.partition.index));
    let keys: Vec<_> = parts
        .iter()
        .zip(&nearer)
        .filter_map(|(part, nearer)| key(part).filter(|_| nearer.is_some()))
        .collect();
    if keys.is_empty() {
        return;
    }
    let Ok(ends) = broker.metastore.log_ends(&keys).await else {
        return;
    };
    for (part, nearer) in parts.iter_mut().zip(nearer) {
        let Some(ends) = key(part).and_then(|key| ends.get(&key)) else {
            continue;
        };
        if nearer.is_some() && (ends.log_start..=ends.end).contains(&part.asked.from) {
            part.answer.preferred_replica = nearer;
            (part.answer.log_start_offset, part.answer.high_watermark) = (ends.log_start, ends.end);
        }
    }
}

fn limits(broker: &Broker, version: i16, request: &FetchRequest, parts: &[Part]) -> FetchLimits {
    // A client should hear at once of an error, or of a better agent.
    let has_news = parts.iter().any(|part| part.open().is_none());
    FetchLimits {
        bytes_min: if has_news {
            0
        } else {
            u64::try_from(request.min_bytes).unwrap_or_default()
        },
        bytes_max: u64::from(broker.fetch_bytes_max).min(u64::try_from(request.max_bytes).unwrap_or_default()),
        wait_max: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default()).min(WAIT_MAX),
        zstd_allowed: version >= ZSTD_SINCE,
    }
}

async fn serve(broker: &Broker, limits: FetchLimits, parts: &mut [Part]) -> Option<Grant> {
    let wanted = |part: &Part| {
        Some(WantedPartition {
            topic: part.open()?.number,
            partition: part.partition.index,
            from: part.asked.from,
            bytes_max: part.asked.bytes_max,
        })
    };
    let wanted: Vec<WantedPartition> = parts.iter().filter_map(wanted).collect();
    let served = broker.fetcher.serve(&wanted, limits).await;
    let open = parts.iter_mut().filter(|part| part.open().is_some());
    match served {
        Ok(served) => {
            open.zip(served.partitions)
                .for_each(|(part, served)| fill(&mut part.answer, served));
            served.memory
        }
        Err(error) => {
            let error = of_metastore(&error, AskedOf::Log);
            open.for_each(|part| part.answer.error = Some(error));
            None
        }
    }
}

fn fill(answer: &mut FetchAnswerPartition, served: ServedPartition) {
    match served {
        ServedPartition::Records {
            log_start,
            end,
            assembled,
        } => {
            (answer.log_start_offset, answer.high_watermark) = (log_start, end);
            counter!(FETCH_BYTES).increment(assembled.bytes);
            answer.records = assembled.records;
        }
        ServedPartition::OutOfRange { log_start, end } => {
            (answer.log_start_offset, answer.high_watermark) = (log_start, end);
            answer.error = Some(ResponseError::OffsetOutOfRange);
        }
        ServedPartition::Gone => answer.error = Some(ResponseError::UnknownTopicOrPartition),
        ServedPartition::Unreadable => answer.error = Some(ResponseError::KafkaStorageError),
        ServedPartition::UnsupportedCompression => answer.error = Some(ResponseError::UnsupportedCompressionType),
    }
}

fn told(part: &Part) -> Told {
    let is_error = part.answer.error.is_some();
    Told {
        high_watermark: part.answer.high_watermark,
        log_start: part.answer.log_start_offset,
        has_records: !part.answer.records.is_empty(),
        is_notable: is_error || part.answer.preferred_replica.is_some(),
        is_error,
        name: part.topic.as_ref().map(|topic| topic.name.clone()),
    }
}

/// The answer's topics: neighbours of one topic together, in the order in which they were served.
fn by_topic(parts: Vec<Part>, sent: &[bool]) -> Vec<FetchAnswerTopic> {
    let mut topics: Vec<FetchAnswerTopic> = Vec::new();
    let mut last: Option<TopicRef> = None;
    for (part, _) in parts.into_iter().zip(sent).filter(|(_, sent)| **sent) {
        if last.as_ref() != Some(&part.partition.topic) {
            topics.push(topic_frame(&part.partition.topic));
            last = Some(part.partition.topic);
        }
        let topic = topics.last_mut().expect("one was just pushed");
        topic.partitions.push(part.answer);
    }
    topics
}

fn topic_frame(topic: &TopicRef) -> FetchAnswerTopic {
    let (name, id) = match topic {
        TopicRef::Name(name) => (name.to_string(), TopicId(Uuid::nil())),
        TopicRef::Id(id) => (String::new(), *id),
    };
    FetchAnswerTopic {
        name,
        id,
        partitions: Vec::new(),
    }
}
