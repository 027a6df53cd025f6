//! What an invocation is about: JSON in, work items out. Pure.
//!
//! S3 tells of a new object in three wrappings: a notification sent to the function itself, the same as text in the
//! body of an SQS message, or an EventBridge event, itself directly or in SQS. Keys of notifications are URL-encoded,
//! keys of EventBridge are not (AWS, "Amazon S3 event message structure" and "EventBridge event message structure").

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::s3::{S3Event, S3EventRecord};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use commit::invoke::{COMMIT_REQUEST_V1, CommitRequest};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use types::ObjectKey;

/// Value of the field `yaks` that asks for a sweep, as a schedule or a person may send it.
pub const SWEEP_REQUEST_V1: &str = "sweep/1";

/// The field by which a request of ours is told from other events.
const REQUEST_FIELD: &str = "yaks";

/// What an invocation asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Objects were created; whoever tells us brings the whole event again when we answer with an error.
    Objects(Vec<ObjectKey>),
    /// Messages of a queue, each of which can be given back on its own.
    Queue(Vec<QueueMessage>),
    /// An agent wants these slots committed now.
    Commit(CommitRequest),
    /// Look after streams whose agents are gone.
    Sweep,
    /// Nothing to be done: S3 tries out a new notification.
    Nothing,
}

/// One message of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueMessage {
    /// By which it is given back.
    pub id: String,
    /// ARN of its queue.
    pub queue_arn: String,
    /// Its text.
    pub body: String,
    /// The objects it tells of.
    pub objects: Result<Vec<ObjectKey>, EventError>,
}

/// An event that this function cannot make sense of. A second delivery would not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It looks like one of ours but cannot be read.
    #[error("{kind} cannot be read: {reason}")]
    Malformed {
        /// What it looks like.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It is something else.
    #[error("unknown event: {0}")]
    Unknown(String),
}

/// Reads the payload of an invocation.
pub fn parse(payload: &Value) -> Result<Event, EventError> {
    if let Some(request) = text(payload, REQUEST_FIELD) {
        return match request {
            COMMIT_REQUEST_V1 => read("a commit request", payload).map(Event::Commit),
            SWEEP_REQUEST_V1 => Ok(Event::Sweep),
            other => Err(EventError::Unknown(format!("request {other:?}"))),
        };
    }
    if payload.get("detail-type").is_some() {
        return event_bridge(payload);
    }
    if text(payload, "Event") == Some("s3:TestEvent") {
        return Ok(Event::Nothing);
    }
    if let Some(records) = payload.get("Records").and_then(Value::as_array) {
        return match records.first().and_then(|record| text(record, "eventSource")) {
            None if records.is_empty() => Ok(Event::Nothing),
            Some("aws:s3") => created_objects(payload).map(Event::Objects),
            Some("aws:sqs") => queue(payload),
            source => Err(EventError::Unknown(format!(
                "records of {}",
                source.unwrap_or("no source")
            ))),
        };
    }
    Err(EventError::Unknown(describe(payload)))
}

/// Whether nobody waits for what becomes of the event. An agent and a schedule hear of an error, and a queue has a way of its own to
/// bring its messages again.
pub fn is_notification(payload: &Value) -> bool {
    let mut records = payload["Records"].as_array().into_iter().flatten();
    payload.get(REQUEST_FIELD).is_none() && !records.any(|record| text(record, "eventSource") == Some("aws:sqs"))
}

fn event_bridge(payload: &Value) -> Result<Event, EventError> {
    let event: EventBridgeEvent = read("an EventBridge event", payload)?;
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.s3", "Object Created") => {
            let detail: CreatedDetail = read("an EventBridge event of S3", &event.detail)?;
            Ok(Event::Objects(vec![ObjectKey::new(detail.object.key)]))
        }
        (_, "Scheduled Event") => Ok(Event::Sweep),
        (source, detail_type) => Err(EventError::Unknown(format!(
            "EventBridge event {detail_type:?} of {source}"
        ))),
    }
}

#[derive(Deserialize)]
struct CreatedDetail {
    object: CreatedObject,
}

#[derive(Deserialize)]
struct CreatedObject {
    key: String,
}

fn created_objects(payload: &Value) -> Result<Vec<ObjectKey>, EventError> {
    let event: S3Event = read("an S3 event", payload)?;
    let created = event.records.into_iter().filter(is_creation);
    created.map(key_of).collect()
}

/// Deletions and the like are no business of ours, should somebody send them.
fn is_creation(record: &S3EventRecord) -> bool {
    let name = record.event_name.as_deref().unwrap_or_default();
    name.starts_with("ObjectCreated:")
}

fn key_of(record: S3EventRecord) -> Result<ObjectKey, EventError> {
    let encoded = record.s3.object.key.ok_or_else(|| EventError::Malformed {
        kind: "an S3 event",
        reason: "a record has no key".to_owned(),
    })?;
    Ok(url_decoded(&encoded))
}

/// `+` is a space, `%XX` a byte. Bytes that are no UTF-8 make a key that is no slot's.
fn url_decoded(encoded: &str) -> ObjectKey {
    let spaced = encoded.replace('+', " ");
    ObjectKey::new(percent_decode_str(&spaced).decode_utf8_lossy().as_ref())
}

fn queue(payload: &Value) -> Result<Event, EventError> {
    let event: SqsEvent = read("an SQS event", payload)?;
    Ok(Event::Queue(event.records.into_iter().map(queue_message).collect()))
}

fn queue_message(message: SqsMessage) -> QueueMessage {
    let body = message.body.unwrap_or_default();
    QueueMessage {
        id: message.message_id.unwrap_or_default(),
        queue_arn: message.event_source_arn.unwrap_or_default(),
        objects: objects_of_body(&body),
        body,
    }
}

fn objects_of_body(body: &str) -> Result<Vec<ObjectKey>, EventError> {
    let payload = serde_json::from_str(body).map_err(|error| malformed("an SQS message", &error))?;
    match parse(&payload)? {
        Event::Objects(keys) => Ok(keys),
        Event::Nothing => Ok(Vec::new()),
        Event::Queue(_) => Err(EventError::Unknown("an SQS event within an SQS message".to_owned())),
        Event::Commit(_) => Err(EventError::Unknown("a commit request within an SQS message".to_owned())),
        Event::Sweep => Err(EventError::Unknown("a sweep within an SQS message".to_owned())),
    }
}

fn read<T: DeserializeOwned>(kind: &'static str, payload: &Value) -> Result<T, EventError> {
    T::deserialize(payload).map_err(|error| malformed(kind, &error))
}

fn malformed(kind: &'static str, error: &serde_json::Error) -> EventError {
    EventError::Malformed {
        kind,
        reason: error.to_string(),
    }
}

fn text<'a>(payload: &'a Value, field: &str) -> Option<&'a str> {
    payload.get(field).and_then(Value::as_str)
}

/// Names what came instead of an event: its shape, never its values.
fn describe(payload: &Value) -> String {
    const FIELDS_MAX: usize = 8;
    match payload {
        Value::Object(fields) => {
            let names: Vec<&str> = fields.keys().take(FIELDS_MAX).map(String::as_str).collect();
            format!("an object with the fields [{}]", names.join(", "))
        }
        Value::Array(_) => "an array".to_owned(),
        Value::String(_) => "a text".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Null => "null".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: &str = "data/v1/d5/0190b5f2-7c3a-7def-8123-456789abcdef/00000000000000000042";

    fn fixture(name: &str) -> Value {
        let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&text).unwrap()
    }

    fn parsed(name: &str) -> Event {
        parse(&fixture(name)).unwrap()
    }

    fn keys(keys: &[&str]) -> Vec<ObjectKey> {
        keys.iter().map(|key| ObjectKey::new(*key)).collect()
    }

    fn told(message: &QueueMessage) -> (&str, Vec<ObjectKey>) {
        (&message.id, message.objects.clone().unwrap())
    }

    #[test]
    fn a_notification_names_every_created_object_by_its_decoded_key() {
        // The middle record is a deletion.
        let expected = Event::Objects(keys(&[SLOT, "data/a b+c/ä%.txt"]));
        assert_eq!(parsed("s3_notification"), expected);
    }

    #[test]
    fn a_key_that_is_no_utf8_is_some_foreign_key() {
        assert_eq!(url_decoded("a%FFb").as_str(), "a\u{fffd}b");
    }

    #[test]
    fn a_queue_brings_notifications_events_and_tests_of_both_services() {
        let Event::Queue(messages) = parsed("sqs_batch") else {
            panic!("not a queue")
        };
        let read: Vec<_> = messages[..3].iter().map(told).collect();
        let slot = || keys(&[SLOT]);
        assert_eq!(read, [("m-1", slot()), ("m-2", slot()), ("m-3", Vec::new())]);
        assert_eq!(
            messages[0].queue_arn,
            "arn:aws:sqs:eu-central-1:123456789012:yaks-objects"
        );
    }

    #[test]
    fn a_message_of_a_queue_that_cannot_be_read_leaves_its_neighbours_alone() {
        let Event::Queue(messages) = parsed("sqs_batch") else {
            panic!("not a queue")
        };
        let errors: Vec<String> = messages[3..]
            .iter()
            .map(|m| m.objects.clone().unwrap_err().to_string())
            .collect();
        assert_eq!(
            (messages[3].id.as_str(), messages[3].body.as_str()),
            ("m-4", "not JSON")
        );
        assert!(errors[0].starts_with("an SQS message cannot be read"), "{errors:?}");
        assert_eq!(errors[1], "unknown event: an object with the fields [hello]");
    }

    #[test]
    fn event_bridge_brings_an_object_with_its_plain_key() {
        assert_eq!(parsed("eventbridge_object_created"), Event::Objects(keys(&[SLOT])));
        let mut event = fixture("eventbridge_object_created");
        event["detail"]["object"]["key"] = "a+b%20".into();
        assert_eq!(parse(&event).unwrap(), Event::Objects(keys(&["a+b%20"])));
    }

    #[test]
    fn a_schedule_and_a_request_ask_for_a_sweep() {
        assert_eq!(parsed("eventbridge_scheduled"), Event::Sweep);
        assert_eq!(parsed("yaks_sweep"), Event::Sweep);
    }

    #[test]
    fn a_request_of_an_agent_is_told_by_its_envelope() {
        let Event::Commit(request) = parsed("yaks_commit") else {
            panic!("not a commit request")
        };
        assert_eq!(request.slots[0].key.as_str(), SLOT);
        assert_eq!(request.slots[0].footer.as_ref(), b"\x00\xff");
    }

    #[test]
    fn the_trial_of_a_new_notification_asks_for_nothing() {
        assert_eq!(parsed("s3_test_event"), Event::Nothing);
    }

    #[test]
    fn nobody_waits_for_a_notification_but_for_requests_and_messages() {
        for name in ["s3_notification", "eventbridge_object_created", "s3_test_event"] {
            assert!(is_notification(&fixture(name)), "{name}");
        }
        for name in ["yaks_commit", "yaks_sweep", "sqs_batch"] {
            assert!(!is_notification(&fixture(name)), "{name}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_its_name() {
        let mut deleted = fixture("eventbridge_object_created");
        deleted["detail-type"] = "Object Deleted".into();
        let cases = [
            (serde_json::json!({"yaks": "commit/9"}), "request \"commit/9\""),
            (deleted, "EventBridge event \"Object Deleted\" of aws.s3"),
            (
                serde_json::json!({"Records": [{"eventSource": "aws:kinesis"}]}),
                "records of aws:kinesis",
            ),
            (serde_json::json!({"b": 1, "a": 2}), "an object with the fields [a, b]"),
            (Value::Null, "null"),
        ];
        for (payload, name) in cases {
            assert_eq!(parse(&payload), Err(EventError::Unknown(name.to_owned())));
        }
        let message = parse(&serde_json::json!({"yaks": "commit/1"})).unwrap_err().to_string();
        assert!(message.starts_with("a commit request cannot be read: "), "{message}");
    }
}
