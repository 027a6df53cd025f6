//! The JSON that AWS sends: an S3 event notification, and the batch of SQS messages that carries several.

use std::time::{Duration, SystemTime};

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Timestamp, TimestampFormat};
use serde_json::{Value, json};
use types::TimestampMs;
use uuid::Uuid;

use super::queue::Received;
use crate::s3::CreatedObject;

const REGION: &str = "us-east-1";
const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:yaks-events";

/// The notification about one object.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
pub fn s3_event(object: &CreatedObject, now: TimestampMs) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": rfc3339(now),
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDACKCEVSQ6C2EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": request_id(), "x-amz-id-2": Uuid::new_v4().simple().to_string()},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "yaks-data",
            "bucket": {
                "name": object.bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": format!("arn:aws:s3:::{}", object.bucket),
            },
            "object": {
                "key": encode_key(&object.key),
                "size": object.object_bytes,
                "eTag": object.etag,
                "sequencer": format!("{:016X}", now.0),
            },
        },
    }]})
}

/// The event that an SQS event source mapping invokes a function with.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
pub(super) fn sqs_event(messages: &[Received]) -> Value {
    json!({"Records": messages.iter().map(sqs_record).collect::<Vec<_>>()})
}

fn sqs_record(message: &Received) -> Value {
    json!({
        "messageId": message.id,
        "receiptHandle": Uuid::new_v4().simple().to_string(),
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "SentTimestamp": message.sent_at.0.to_string(),
            "SenderId": "AIDAJXNJGGKNS7OSV23OI",
            "ApproximateFirstReceiveTimestamp": message.first_received_at.0.to_string(),
        },
        "messageAttributes": {},
        "md5OfBody": md5_hex(&message.body),
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": REGION,
    })
}

/// S3 encodes keys in events as HTML forms do, slashes left alone: a space is a plus.
fn encode_key(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b' ' => text.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-_.*/".contains(&byte) => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// `2024-01-31T12:00:00.000Z`, as AWS writes times.
pub(crate) fn rfc3339(time: TimestampMs) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(time.0).unwrap_or(0));
    let mut text = Vec::new();
    let timestamp = Timestamp::from(SystemTime::UNIX_EPOCH + since_epoch);
    match timestamp.format(TimestampFormat::DateTime, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => "1970-01-01T00:00:00.000Z".to_owned(),
    }
}

fn request_id() -> String {
    Uuid::new_v4().simple().to_string()[..16].to_uppercase()
}

fn md5_hex(text: &str) -> String {
    let mut hasher = Md5::new();
    hasher.update(text.as_bytes());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> CreatedObject {
        CreatedObject {
            bucket: "b".to_owned(),
            key: key.to_owned(),
            object_bytes: 7,
            etag: "e".to_owned(),
        }
    }

    #[test]
    fn keys_are_encoded_as_s3_encodes_them() {
        let event = s3_event(&object("data/v1/a b+c=d/ä"), TimestampMs(0));
        assert_eq!(event["Records"][0]["s3"]["object"]["key"], "data/v1/a+b%2Bc%3Dd/%C3%A4");
    }

    #[test]
    fn the_published_types_read_our_events() {
        let event = s3_event(&object("data/x"), TimestampMs(1_700_000_000_123));
        let read: aws_lambda_events::event::s3::S3Event = serde_json::from_value(event.clone()).unwrap();
        assert_eq!(read.records[0].event_time.timestamp_millis(), 1_700_000_000_123);
        assert_eq!(read.records[0].s3.object.size, Some(7));
        let message = Received {
            sequence: 0,
            id: Uuid::new_v4(),
            body: event.to_string(),
            receive_count: 1,
            sent_at: TimestampMs(1),
            first_received_at: TimestampMs(2),
        };
        let batch: aws_lambda_events::event::sqs::SqsEvent = serde_json::from_value(sqs_event(&[message])).unwrap();
        let body = batch.records[0].body.as_deref().unwrap();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), event);
    }

    #[test]
    fn md5_is_md5() {
        assert_eq!(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
    }
}
