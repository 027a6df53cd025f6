//! How a request says that it was passed on: in its `client.id`, the one field that every header has. So it also carries the
//! address of the client, which groups show of their members.

use std::net::IpAddr;

/// No client library begins an id with a control character.
const MARK: &str = "\u{1}yaks-relay\u{1}";

/// Longest `client.id` that is passed on; a header's text is at most 32,767 bytes.
const CLIENT_ID_BYTES_MAX: usize = 32_000;

/// The `client.id` of a request that is passed on for a client.
pub fn mark(host: IpAddr, client_id: Option<&str>) -> String {
    let client_id = client_id.filter(|id| id.len() <= CLIENT_ID_BYTES_MAX);
    match client_id {
        Some(id) => format!("{MARK}{host}\u{1}{id}"),
        None => format!("{MARK}{host}"),
    }
}

/// The client's own address and `client.id`, if the request was passed on.
pub fn unmark(client_id: &str) -> Option<(IpAddr, Option<&str>)> {
    let marked = client_id.strip_prefix(MARK)?;
    let (host, client_id) = match marked.split_once('\u{1}') {
        Some((host, client_id)) => (host, Some(client_id)),
        None => (marked, None),
    };
    Some((host.parse().ok()?, client_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_id_gives_back_who_asked() {
        let host = IpAddr::from([10, 0, 0, 7]);
        for client_id in [None, Some(""), Some("app-1,zone=a"), Some("odd\u{1}id")] {
            assert_eq!(unmark(&mark(host, client_id)), Some((host, client_id)));
        }
        let long = "x".repeat(CLIENT_ID_BYTES_MAX + 1);
        assert_eq!(unmark(&mark(host, Some(&long))), Some((host, None)));
    }

    #[test]
    fn an_ordinary_id_is_not_taken_for_a_marked_one() {
        for client_id in ["", "yaks-relay", "rdkafka", "\u{1}yaks-relay\u{1}not an address\u{1}x"] {
            assert_eq!(unmark(client_id), None);
        }
    }
}
