//! Every metric of the agent: its name, its unit, what it counts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Connections open now.
pub const CONNECTIONS: &str = "yaks_connections";
/// Connections closed by us, by reason.
pub const CONNECTIONS_REFUSED: &str = "yaks_connections_refused_total";
/// Requests taken in, by API.
pub const REQUESTS: &str = "yaks_requests_total";
/// Requests that got no answer but a closed connection, by API.
pub const REQUESTS_REFUSED: &str = "yaks_requests_refused_total";
/// From the last byte of a request to the last byte of its answer, by API.
pub const REQUEST_SECONDS: &str = "yaks_request_duration_seconds";
/// Bytes of requests, lengths not counted.
pub const BYTES_IN: &str = "yaks_bytes_received_total";
/// Bytes of answers.
pub const BYTES_OUT: &str = "yaks_bytes_sent_total";

/// Tells the exporter what each metric means.
pub fn describe() {
    describe_gauge!(CONNECTIONS, Unit::Count, "Kafka connections open now");
    describe_counter!(
        CONNECTIONS_REFUSED,
        Unit::Count,
        "Kafka connections that the agent closed, by reason"
    );
    describe_counter!(REQUESTS, Unit::Count, "Kafka requests taken in, by API");
    describe_counter!(
        REQUESTS_REFUSED,
        Unit::Count,
        "Kafka requests refused by closing the connection, by API"
    );
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from a whole request to its whole answer, by API"
    );
    describe_counter!(BYTES_IN, Unit::Bytes, "Bytes of Kafka requests received");
    describe_counter!(BYTES_OUT, Unit::Bytes, "Bytes of Kafka answers sent");
}
