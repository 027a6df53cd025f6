//! The base offset in the ack of a batch that has none yet, in the words of the client at hand. Pure.
//!
//! It is -1. The Java client and franz-go test for exactly that and show no offset for any record. librdkafka (2.0 to 2.12,
//! `rd_kafka_msgq_set_metadata`) tests for nothing: it counts up from the base, so that the second record's delivery report would
//! show offset 0, as if it were known. There a base is given from which all of the batch's records come out below zero, as
//! no offset can be, the last one as `RD_KAFKA_OFFSET_INVALID`. It passes the values between that and zero by: they mean
//! "stored", "beginning" and "end".

use types::Offset;

use crate::client::Client;

/// librdkafka's `RD_KAFKA_OFFSET_INVALID`.
const LIBRDKAFKA_INVALID: i64 = -1001;

/// Words in the names, or versions, by which librdkafka and what is built on it introduce themselves (KIP-511). Whoever sets
/// `client.software.name` to something else is told -1.
const BUILT_ON_LIBRDKAFKA: [&str; 3] = ["rdkafka", "confluent-kafka-", "karafka"];

/// What to tell `client` of a batch of so many records.
pub fn unknown_offset(client: &Client, records: i64) -> Offset {
    let said = [&client.software_name, &client.software_version];
    let is_librdkafka = said
        .into_iter()
        .flatten()
        .any(|said| BUILT_ON_LIBRDKAFKA.iter().any(|word| said.contains(word)));
    if is_librdkafka {
        Offset(LIBRDKAFKA_INVALID - (records - 1).max(0))
    } else {
        Offset::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Software;

    fn told(software: Option<(&str, &str)>, records: i64) -> i64 {
        let mut client = Client::new(([127, 0, 0, 1], 1).into());
        if let Some((name, version)) = software {
            client.introduce(Software {
                name: name.into(),
                version: version.into(),
            });
        }
        unknown_offset(&client, records).0
    }

    #[test]
    fn clients_that_test_for_it_are_told_minus_one() {
        for software in [
            None,
            Some(("apache-kafka-java", "4.1.0")),
            Some(("kgo", "v1.19.5")),
            Some(("sarama", "1.45")),
        ] {
            assert_eq!(told(software, 500), -1, "{software:?}");
        }
    }

    #[test]
    fn no_record_of_a_client_that_counts_up_gets_an_offset_that_means_something() {
        for (name, version) in [
            ("librdkafka", "2.0.2"),
            ("confluent-kafka-python", "2.11.1-rdkafka-2.11.1"),
            ("confluent-kafka-go", "2.11.0"),
            ("some-binding", "1.0-librdkafka-2.3"),
        ] {
            for records in [1, 2, 10_000] {
                let base = told(Some((name, version)), records);
                assert_eq!(base + records - 1, LIBRDKAFKA_INVALID, "{name} {records}");
            }
        }
    }
}
